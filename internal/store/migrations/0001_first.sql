-- Statements end in a semicolon at the end of a line. They are the same for SQLite and PostgreSQL, where BINARY becomes
-- "C". Bytes are base64.
CREATE TABLE state (
	one       INTEGER PRIMARY KEY CHECK (one = 1),
	changes   BIGINT NOT NULL,
	audit_seq BIGINT NOT NULL,
	audit_mac TEXT NOT NULL
);
INSERT INTO state VALUES (1, 0, 0, '');
CREATE TABLE providers (
	id      TEXT COLLATE BINARY PRIMARY KEY,
	name    TEXT COLLATE BINARY NOT NULL UNIQUE,
	url     TEXT COLLATE BINARY NOT NULL UNIQUE,
	version BIGINT NOT NULL,
	doc     TEXT NOT NULL
);
CREATE TABLE policies (
	provider_id TEXT COLLATE BINARY NOT NULL,
	type        TEXT COLLATE BINARY NOT NULL,
	version     BIGINT NOT NULL,
	jws         TEXT NOT NULL,
	doc         TEXT NOT NULL,
	PRIMARY KEY (provider_id, type, version)
);
CREATE TABLE signing_keys (
	provider_id TEXT COLLATE BINARY NOT NULL,
	id          TEXT COLLATE BINARY NOT NULL,
	signs_from  BIGINT NOT NULL,
	sealed      TEXT NOT NULL,
	PRIMARY KEY (provider_id, id)
);
CREATE TABLE audit (
	seq    BIGINT PRIMARY KEY,
	record TEXT NOT NULL,
	mac    TEXT NOT NULL
);
