package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestKindSurvivesWrapping(t *testing.T) {
	cause := errors.New("disk")
	err := fmt.Errorf("saving: %w", fmt.Errorf("store: %w", Unavailable("no room: %w", cause)))
	if KindOf(err) != KindUnavailable || !Is(err, KindUnavailable) || Is(err, KindInternal) || !errors.Is(err, cause) {
		t.Errorf("%v: kind %v", err, KindOf(err))
	}
	if plain := errors.New("x"); KindOf(plain) != KindInternal || Is(plain, KindInternal) {
		t.Error("an error without a kind counts as internal, and is no fault")
	}
	if got := InvalidField("spec.a", "must be %d", 1).Error(); got != "spec.a: must be 1" {
		t.Error(got)
	}
}

func TestKindNames(t *testing.T) {
	for k, want := range map[Kind]string{KindInternal: "internal", KindInvalid: "invalid", KindNotFound: "not found",
		KindConflict: "conflict", KindDenied: "denied", KindUnavailable: "unavailable", Kind(99): "internal"} {
		if k.String() != want {
			t.Errorf("%d: %q, want %q", k, k, want)
		}
	}
}
