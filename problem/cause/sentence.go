package cause

import (
	"fmt"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// dependencyRef is a dependency that is not ours as a reference.
func dependencyRef(c problem.Cause, name string) entity.Ref {
	return entity.Ref{Service: name, Environment: c.Environment}
}

// sentence says the whole answer in one line; origin is where it begins among
// our own places.
func sentence(c problem.Cause, origin entity.Ref) string {
	where := origin.String()
	if c.Operation != "" {
		where += ", " + c.Operation
	}
	switch c.Kind {
	case problem.CauseChange:
		e := c.Change.Event
		by := ""
		if e.Who != "" {
			by = " by " + e.Who
		}
		on := ""
		if c.Change.On.Service != "" && c.Change.On.Service != origin.Service {
			on = " on " + c.Change.On.Service
		}
		return fmt.Sprintf("It begins at %s, after “%s”%s%s at %s (%s sure).", where, e.Title, on, by, clock(e.Start), percentage(c.Confidence))
	case problem.CauseDependency:
		return fmt.Sprintf("%s fails, which %s calls; no change caused this (%s sure).", c.Service, where, percentage(c.Confidence))
	case problem.CauseCertificate:
		return fmt.Sprintf("A certificate is not valid, which stops calls of %s; no change caused this (%s sure).", where, percentage(c.Confidence))
	case problem.CauseResource:
		return fmt.Sprintf("%s is short of what something else uses: %s; no change caused this (%s sure).", where, c.Resource, percentage(c.Confidence))
	case problem.CauseTraffic:
		return fmt.Sprintf("More is asked than %s can bear; no change caused this (%s sure).", where, percentage(c.Confidence))
	case problem.CauseData:
		return fmt.Sprintf("%s cannot process one record, again and again; no change caused this (%s sure).", where, percentage(c.Confidence))
	}
	return fmt.Sprintf("It begins at %s; no change explains it (%s sure).", where, percentage(c.Confidence))
}
