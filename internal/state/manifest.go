package state

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/fault"
)

const maxManifest = 4 << 20

// Manifest is one object of the configuration in force, as it was written.
type Manifest struct {
	bun.BaseModel `bun:"table:manifests" json:"-"`

	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Source string `json:"source" doc:"file or address it came from"`
	// SHA256 of YAML in hex; set by Put.
	SHA256  string    `json:"sha256" bun:"sha256"`
	Updated time.Time `json:"updated" bun:"-"`
	By      string    `json:"by" bun:"updated_by"`
	YAML    string    `json:"yaml" bun:"yaml"`

	UpdatedNs int64 `json:"-"`
}

// Manifests keeps manifests by kind and name.
type Manifests struct{ db *DB }

// Manifests returns the store of manifests.
func (db *DB) Manifests() *Manifests { return &Manifests{db} }

// Change says what Put did.
type Change string

// The changes.
const (
	Created   Change = "created"
	Replaced  Change = "changed"
	Unchanged Change = "unchanged"
)

// Put inserts or replaces manifests, all or none, and says for each what
// changed. The same text from the same source again is unchanged and keeps
// its Updated and By.
func (s *Manifests) Put(ctx context.Context, ms ...Manifest) ([]Change, error) {
	for _, m := range ms {
		if err := errors.Join(checkID("manifest kind", m.Kind), checkID("manifest name", m.Name)); err != nil {
			return nil, err
		}
		if len(m.YAML) > maxManifest || column(m.YAML) != m.YAML {
			return nil, fault.Invalid("manifest %s/%s: expected text of at most %d bytes", m.Kind, m.Name, maxManifest)
		}
	}
	out := make([]Change, len(ms))
	err := s.db.inTx(ctx, func(tx bun.Tx) error {
		for i, m := range ms {
			var err error
			if out[i], err = putManifest(ctx, tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, wrap("put manifests", err)
	}
	return out, nil
}

func putManifest(ctx context.Context, tx bun.Tx, m Manifest) (Change, error) {
	sum := sha256.Sum256([]byte(m.YAML))
	m.SHA256, m.UpdatedNs = hex.EncodeToString(sum[:]), nanos(m.Updated)
	m.Source, m.By = column(m.Source), column(m.By)
	var old Manifest
	err := tx.NewSelect().Model(&old).Where("kind = ? AND name = ?", m.Kind, m.Name).Scan(ctx)
	what := Replaced
	switch {
	case errors.Is(err, sql.ErrNoRows):
		what = Created
	case err != nil:
		return "", err
	case old.SHA256 == m.SHA256 && old.Source == m.Source:
		return Unchanged, nil
	}
	_, err = tx.NewInsert().Model(&m).On("CONFLICT (kind, name) DO UPDATE").
		Set("source = EXCLUDED.source, sha256 = EXCLUDED.sha256, updated_ns = EXCLUDED.updated_ns, " +
			"updated_by = EXCLUDED.updated_by, yaml = EXCLUDED.yaml").Exec(ctx)
	return what, err
}

// Delete removes a manifest; a fault of KindNotFound when it is not there.
func (s *Manifests) Delete(ctx context.Context, kind, name string) error {
	found, err := changed(s.db.write.NewDelete().Model((*Manifest)(nil)).
		Where("kind = ? AND name = ?", column(kind), column(name)).Exec(ctx))
	if err == nil && !found {
		return fault.NotFound("no %s %q", kind, name)
	}
	return wrap("delete manifest", err)
}

// Get returns a manifest, or a fault of KindNotFound.
func (s *Manifests) Get(ctx context.Context, kind, name string) (Manifest, error) {
	var m Manifest
	err := s.db.read.NewSelect().Model(&m).Where("kind = ? AND name = ?", column(kind), column(name)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return m, fault.NotFound("no %s %q", kind, name)
	}
	m.Updated = fromNanos(m.UpdatedNs)
	return m, wrap("read manifest", err)
}

// List returns the manifests by kind and name; an empty kind does not
// restrict. Configuration is held in memory as a whole, so there is no limit.
func (s *Manifests) List(ctx context.Context, kind string) ([]Manifest, error) {
	ms := []Manifest{}
	q := s.db.read.NewSelect().Model(&ms).OrderExpr("kind, name")
	if kind != "" {
		q.Where("kind = ?", column(kind))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, wrap("list manifests", err)
	}
	for i := range ms {
		ms[i].Updated = fromNanos(ms[i].UpdatedNs)
	}
	return ms, nil
}
