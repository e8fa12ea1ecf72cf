-- One table for each statistic that counts by a key.
CREATE TABLE event_counter (key TEXT PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE metadata (key TEXT PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE search_counter (key TEXT PRIMARY KEY, value BIGINT NOT NULL);

-- Time in windows of 5 seconds. A window takes the place of the one an hour before.
CREATE TABLE stats_window (
    slot BIGINT PRIMARY KEY,
    started_ms BIGINT NOT NULL,
    events BIGINT NOT NULL,
    lag_ms BIGINT NOT NULL
);

-- How far counting has come; one row.
CREATE TABLE progress (id BIGINT PRIMARY KEY, events BIGINT NOT NULL, updated_ms BIGINT NOT NULL);
