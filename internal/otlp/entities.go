package otlp

import (
	"fmt"
	"strings"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
)

// Limits of the tags taken from a resource.
const (
	maxTags     = 64
	maxTagValue = 400
)

// entities returns the things that a resource describes: the service, and the
// process and the host it runs on where it says so. The tags are the
// resource's attributes.
func entities(res *wire.Resource) []entity.Entity {
	ref := refOf(res)
	tags := map[string]string{}
	attrs, _ := res.Attributes() // a broken attribute is no tag; the rest are
	for k, v := range attrs {
		if len(tags) == maxTags {
			break
		}
		switch v := v.(type) {
		case string, bool, int64, float64:
			if s := fmt.Sprint(v); len(k) <= maxName && len(s) <= maxTagValue {
				tags[k] = s
			}
		}
	}
	out := []entity.Entity{{ID: "SERVICE-" + ref.Service, Type: entity.TypeService, Ref: ref, Tags: tags}}
	if id := firstOf(tags, "service.instance.id", "k8s.pod.name", "container.id"); id != "" {
		out = append(out, entity.Entity{ID: "PROCESS-" + id, Type: entity.TypeProcess, Ref: ref, Tags: tags})
	}
	if host := firstOf(tags, "host.id", "host.name", "k8s.node.name"); host != "" {
		out = append(out, entity.Entity{ID: "HOST-" + host, Type: entity.TypeHost, Ref: ref, Tags: hostTags(tags)})
	}
	return out
}

func firstOf(tags map[string]string, keys ...string) string {
	for _, k := range keys {
		if tags[k] != "" {
			return tags[k]
		}
	}
	return ""
}

// hostTags are the tags that hold for everything on the host.
func hostTags(tags map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range tags {
		for _, prefix := range []string{"host.", "os.", "cloud.", "k8s.node.", "k8s.cluster."} {
			if strings.HasPrefix(k, prefix) {
				out[k] = v
			}
		}
	}
	return out
}
