-- Who answers the requests of a route, and how that changes.

-- +goose Up
CREATE TABLE traffic_splits (
    route      TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    doc        TEXT NOT NULL
);

CREATE TABLE rollout_runs (
    id         TEXT PRIMARY KEY,
    rollout    TEXT NOT NULL,
    state      TEXT NOT NULL,
    phase      TEXT NOT NULL,
    started_ns BIGINT NOT NULL,
    doc        TEXT NOT NULL
);
CREATE INDEX rollout_runs_by_started ON rollout_runs (started_ns DESC, id DESC);

-- +goose Down
DROP TABLE rollout_runs;
DROP TABLE traffic_splits;
