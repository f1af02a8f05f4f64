-- Reference values. The version is that of the provider after the change, so that a name that is used again has no version of before.
CREATE TABLE reference_values (
	provider_id TEXT COLLATE BINARY NOT NULL,
	name        TEXT COLLATE BINARY NOT NULL,
	version     BIGINT NOT NULL,
	doc         TEXT NOT NULL,
	PRIMARY KEY (provider_id, name)
);
