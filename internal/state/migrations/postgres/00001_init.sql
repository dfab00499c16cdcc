-- Times are nanoseconds since 1970 in UTC. doc is the whole value as JSON;
-- the other columns repeat what is searched by.

-- +goose Up
CREATE TABLE events (
    id          TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    who         TEXT NOT NULL,
    subject     TEXT NOT NULL,
    correlation TEXT NOT NULL,
    start_ns    BIGINT NOT NULL,
    doc         JSON NOT NULL
);
CREATE INDEX events_by_start ON events (start_ns DESC, id DESC);
CREATE INDEX events_by_type ON events (type, start_ns DESC, id DESC);
CREATE INDEX events_by_correlation ON events (correlation) WHERE correlation <> '';
CREATE TABLE event_places (
    event_id    TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    service     TEXT NOT NULL,
    environment TEXT NOT NULL,
    PRIMARY KEY (event_id, service, environment)
);
CREATE INDEX event_places_by_service ON event_places (service, environment);

CREATE TABLE flag_overrides (
    flag_set TEXT NOT NULL,
    flag_key TEXT NOT NULL,
    doc      JSON NOT NULL,
    PRIMARY KEY (flag_set, flag_key)
);
CREATE TABLE flag_audits (
    seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    flag_set TEXT NOT NULL,
    flag_key TEXT NOT NULL,
    at_ns    BIGINT NOT NULL,
    doc      JSON NOT NULL
);
CREATE INDEX flag_audits_by_flag ON flag_audits (flag_set, flag_key, at_ns DESC);
CREATE TABLE flag_requests (
    idempotency_key TEXT PRIMARY KEY,
    at_ns           BIGINT NOT NULL
);

CREATE TABLE guardian_numbers (
    guardian TEXT PRIMARY KEY,
    last     BIGINT NOT NULL
);
CREATE TABLE validations (
    id         TEXT PRIMARY KEY,
    guardian   TEXT NOT NULL,
    number     BIGINT NOT NULL,
    variant    TEXT NOT NULL,
    state      TEXT NOT NULL,
    created_ns BIGINT NOT NULL,
    doc        JSON NOT NULL,
    detail     JSON NOT NULL, -- evidence and sources: large, and not listed
    UNIQUE (guardian, number)
);
CREATE INDEX validations_by_created ON validations (created_ns DESC, id DESC);
CREATE INDEX validations_by_state ON validations (state) WHERE state <> 'finished';

CREATE TABLE load_runs (
    id         TEXT PRIMARY KEY,
    test       TEXT NOT NULL,
    state      TEXT NOT NULL,
    started_ns BIGINT NOT NULL,
    doc        JSON NOT NULL
);
CREATE INDEX load_runs_by_started ON load_runs (started_ns DESC, id DESC);

CREATE TABLE workflow_runs (
    id             TEXT PRIMARY KEY,
    workflow       TEXT NOT NULL,
    state          TEXT NOT NULL,
    started_ns     BIGINT NOT NULL,
    lease_owner    TEXT NOT NULL,
    lease_until_ns BIGINT NOT NULL,
    doc            JSON NOT NULL
);
CREATE INDEX workflow_runs_by_started ON workflow_runs (started_ns DESC, id DESC);
CREATE INDEX workflow_runs_unfinished ON workflow_runs (started_ns) WHERE state IN ('pending', 'running');

CREATE TABLE manifests (
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    source     TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    updated_ns BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    yaml       TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE outbox (
    id         TEXT PRIMARY KEY,
    channel    TEXT NOT NULL,
    state      TEXT NOT NULL,
    attempts   BIGINT NOT NULL,
    next_ns    BIGINT NOT NULL,
    created_ns BIGINT NOT NULL,
    updated_ns BIGINT NOT NULL,
    last_error TEXT NOT NULL,
    doc        JSON NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_ns) WHERE state = 'pending';
CREATE INDEX outbox_by_created ON outbox (created_ns DESC, id DESC);

-- +goose Down
DROP TABLE outbox;
DROP TABLE manifests;
DROP TABLE workflow_runs;
DROP TABLE load_runs;
DROP TABLE validations;
DROP TABLE guardian_numbers;
DROP TABLE flag_requests;
DROP TABLE flag_audits;
DROP TABLE flag_overrides;
DROP TABLE event_places;
DROP TABLE events;
