-- The number of the last message of each room. Numbers have no gaps, so a client sees what it missed.
CREATE TABLE rooms (name TEXT PRIMARY KEY, last_id BIGINT NOT NULL);

-- The last messages of each room. `payload` is the JSON that clients get.
CREATE TABLE messages (
    room TEXT NOT NULL,
    id BIGINT NOT NULL,
    -- What makes a message the same one when it comes twice.
    uid TEXT NOT NULL,
    name_key TEXT NOT NULL,
    account TEXT,
    origin TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (room, id)
);
CREATE UNIQUE INDEX messages_uid ON messages (room, uid);
CREATE INDEX messages_name ON messages (name_key, at_ms);

-- Who has come with a token; the name is theirs. `key` is the name in small letters.
CREATE TABLE accounts (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    seen_ms BIGINT NOT NULL
);

-- Bans and mutes of accounts and of origins, which are addresses under a keyed hash.
CREATE TABLE sanctions (
    what TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    -- The name that they were meant for, in small letters, to be lifted by.
    name_key TEXT NOT NULL,
    -- 0 does not end.
    until_ms BIGINT NOT NULL,
    reason TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    PRIMARY KEY (what, kind, value)
);
CREATE INDEX sanctions_name ON sanctions (what, name_key);

-- How often each track was played.
CREATE TABLE plays (track TEXT PRIMARY KEY, plays BIGINT NOT NULL);

-- The key of the hash of addresses; one row, made at random by the first who needs it.
CREATE TABLE origin_key (id BIGINT PRIMARY KEY, value TEXT NOT NULL);
