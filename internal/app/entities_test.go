package app

import (
	"fmt"
	"testing"

	"github.com/tidegate-io/tidegate/entity"
)

func service(name string, tags map[string]string) entity.Entity {
	return entity.Entity{ID: "SERVICE-" + name, Type: entity.TypeService, Ref: entity.Ref{Service: name}, Tags: tags}
}

func (e *entities) tagsOf(t *testing.T, id string) map[string]string {
	t.Helper()
	all, err := e.Entities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, en := range all {
		if en.ID == id {
			return en.Tags
		}
	}
	return nil
}

// What was seen lately is known, however much came and went before: processes
// do every day.
func TestEntitiesSeenLatelyAreKnown(t *testing.T) {
	e := newEntities()
	for i := range maxEntities + 10 {
		e.saw(service(fmt.Sprint("pod-", i), map[string]string{"k": "v"}))
		e.saw(service("shop", map[string]string{"k": "v"})) // seen all the time
	}
	all, err := e.Entities(t.Context())
	if err != nil || len(all) != maxEntities {
		t.Errorf("%d entities, %v", len(all), err)
	}
	for id, known := range map[string]bool{"SERVICE-shop": true, fmt.Sprint("SERVICE-pod-", maxEntities+9): true, "SERVICE-pod-0": false} {
		if got := e.tagsOf(t, id) != nil; got != known {
			t.Errorf("%s known: %v, want %v", id, got, known)
		}
	}
}

// Tags add up, but not without end: names of attributes come from outside.
func TestEntityTagsAreBounded(t *testing.T) {
	e := newEntities()
	for i := range 10 * maxEntityTags {
		e.saw(service("shop", map[string]string{"stays": "here", fmt.Sprint("k", i): "v"}))
	}
	tags := e.tagsOf(t, "SERVICE-shop")
	if len(tags) > maxEntityTags || tags["stays"] != "here" || tags[fmt.Sprint("k", 10*maxEntityTags-1)] != "v" {
		t.Errorf("%d tags: want at most %d, the latest among them", len(tags), maxEntityTags)
	}
}
