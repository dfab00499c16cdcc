-- Actions on problems, their audit, and the switch that stops all of them.

-- +goose Up
CREATE TABLE healing_actions (
    id             TEXT PRIMARY KEY,
    problem        TEXT NOT NULL,
    subject        TEXT NOT NULL,
    state          TEXT NOT NULL,
    created_ns     BIGINT NOT NULL,
    due_ns         BIGINT NOT NULL,
    acted_ns       BIGINT NOT NULL, -- when the intent was recorded
    lease_owner    TEXT NOT NULL,
    lease_until_ns BIGINT NOT NULL,
    doc            JSON NOT NULL
);
CREATE INDEX healing_actions_by_created ON healing_actions (created_ns DESC, id DESC);
CREATE INDEX healing_actions_by_problem ON healing_actions (problem, created_ns DESC);
CREATE INDEX healing_actions_by_subject ON healing_actions (subject, created_ns DESC);
CREATE INDEX healing_actions_by_acted ON healing_actions (acted_ns DESC);
CREATE INDEX healing_actions_unfinished ON healing_actions (due_ns) WHERE state <> 'ended';

CREATE TABLE healing_audit (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ns   BIGINT NOT NULL,
    action  TEXT NOT NULL,
    problem TEXT NOT NULL,
    doc     JSON NOT NULL
);
CREATE INDEX healing_audit_by_action ON healing_audit (action, seq DESC);
CREATE INDEX healing_audit_by_problem ON healing_audit (problem, seq DESC);
-- +goose StatementBegin
CREATE FUNCTION healing_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$;
-- +goose StatementEnd
CREATE TRIGGER healing_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON healing_audit
    FOR EACH STATEMENT EXECUTE FUNCTION healing_audit_append_only();

-- One row: whoever is about to act holds it.
CREATE TABLE healing_stop (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    doc JSON NOT NULL
);
INSERT INTO healing_stop (id, doc) VALUES (1, '{"stopped":false}');

-- +goose Down
DROP TABLE healing_stop;
DROP TABLE healing_audit;
DROP FUNCTION healing_audit_append_only;
DROP TABLE healing_actions;
