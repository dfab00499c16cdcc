-- Registered comparisons of environments, and events whose selector has not
-- matched an entity yet (waiting_until_ns is 0 for all others).

-- +goose Up
CREATE TABLE comparison_validations (
    id             TEXT PRIMARY KEY,
    pipeline       TEXT NOT NULL,
    comparison     TEXT NOT NULL,
    status         TEXT NOT NULL,
    created_ns     BIGINT NOT NULL,
    due_ns         BIGINT NOT NULL,
    lease_owner    TEXT NOT NULL,
    lease_until_ns BIGINT NOT NULL,
    doc            JSON NOT NULL,
    definition     JSON NOT NULL -- the signatures: large, and not listed
);
CREATE INDEX comparison_validations_by_created ON comparison_validations (created_ns DESC, id DESC);
CREATE INDEX comparison_validations_by_pipeline ON comparison_validations (pipeline, comparison, created_ns DESC, id DESC);
CREATE INDEX comparison_validations_due ON comparison_validations (due_ns) WHERE status IN ('waiting', 'running');
ALTER TABLE events ADD COLUMN waiting_until_ns BIGINT NOT NULL DEFAULT 0;
CREATE INDEX events_waiting ON events (waiting_until_ns) WHERE waiting_until_ns <> 0;

-- +goose Down
DROP INDEX events_waiting;
ALTER TABLE events DROP COLUMN waiting_until_ns;
DROP TABLE comparison_validations;
