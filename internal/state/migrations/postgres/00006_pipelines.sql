-- +goose Up
CREATE TABLE pipeline_numbers (
    pipeline TEXT PRIMARY KEY,
    last     BIGINT NOT NULL
);
CREATE TABLE releases (
    id             TEXT PRIMARY KEY,
    pipeline       TEXT NOT NULL,
    number         BIGINT NOT NULL,
    finished       BOOLEAN NOT NULL,
    stage          TEXT NOT NULL, -- the one it occupies; empty for none
    created_ns     BIGINT NOT NULL,
    due_ns         BIGINT NOT NULL,
    lease_owner    TEXT NOT NULL,
    lease_until_ns BIGINT NOT NULL,
    doc            TEXT NOT NULL,
    UNIQUE (pipeline, number)
);
CREATE INDEX releases_by_created ON releases (created_ns DESC, id DESC);
CREATE INDEX releases_unfinished ON releases (due_ns) WHERE NOT finished;
-- A stage holds one release at a time.
CREATE UNIQUE INDEX releases_occupy ON releases (pipeline, stage) WHERE stage <> '';

CREATE TABLE release_decisions (
    release TEXT NOT NULL,
    stage   TEXT NOT NULL,
    action  TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (release, stage, action, attempt)
);

CREATE TABLE deployments (
    id          TEXT PRIMARY KEY,
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    release     TEXT NOT NULL,
    started_ns  BIGINT NOT NULL,
    doc         TEXT NOT NULL
);
CREATE INDEX deployments_by_place ON deployments (app, environment, started_ns DESC, id DESC);
CREATE INDEX deployments_by_release ON deployments (release) WHERE release <> '';

-- +goose Down
DROP TABLE deployments;
DROP TABLE release_decisions;
DROP TABLE releases;
DROP TABLE pipeline_numbers;
