-- Problems, oldest number first. due_ns is when something is to be done next,
-- the largest value for never; closed_ns is the largest while it is open.

-- +goose Up
CREATE TABLE problems (
    id        TEXT PRIMARY KEY,
    number    BIGINT NOT NULL UNIQUE,
    state     TEXT NOT NULL,
    severity  TEXT NOT NULL,
    symptom   TEXT NOT NULL,
    merged    BOOLEAN NOT NULL,
    start_ns  BIGINT NOT NULL,
    opened_ns BIGINT NOT NULL,
    closed_ns BIGINT NOT NULL,
    due_ns    BIGINT NOT NULL,
    doc       TEXT NOT NULL,
    work      TEXT NOT NULL, -- what is still to be done: not shown
    detail    TEXT NOT NULL  -- evidence: large, and not listed
);
CREATE INDEX problems_by_closed ON problems (closed_ns);
CREATE INDEX problems_by_due ON problems (due_ns);
CREATE INDEX problems_by_symptom ON problems (symptom, opened_ns);
CREATE TABLE problem_events (
    event_id   TEXT PRIMARY KEY,
    problem_id TEXT NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
    number     BIGINT NOT NULL
);
CREATE TABLE problem_places (
    problem_id  TEXT NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
    service     TEXT NOT NULL,
    environment TEXT NOT NULL,
    PRIMARY KEY (problem_id, service, environment)
);
CREATE INDEX problem_places_by_service ON problem_places (service, environment);

-- +goose Down
DROP TABLE problem_places;
DROP TABLE problem_events;
DROP TABLE problems;
