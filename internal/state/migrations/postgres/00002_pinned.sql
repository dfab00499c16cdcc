-- Reference runs are asked for at every validation.

-- +goose Up
ALTER TABLE validations ADD COLUMN pinned BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX validations_pinned ON validations (guardian, number DESC) WHERE pinned;

-- +goose Down
DROP INDEX validations_pinned;
ALTER TABLE validations DROP COLUMN pinned;
