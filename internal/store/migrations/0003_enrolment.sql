-- Certificates of attestation keys, and keys that need none. Hashes are SHA-256 of a SubjectPublicKeyInfo in hex; revoked is when, in
-- seconds since 1970, and 0 of one that is not.
CREATE TABLE aik_certificates (
	provider_id TEXT COLLATE BINARY NOT NULL,
	id          TEXT COLLATE BINARY NOT NULL,
	aik         TEXT COLLATE BINARY NOT NULL,
	ek          TEXT COLLATE BINARY NOT NULL,
	not_after   BIGINT NOT NULL,
	revoked     BIGINT NOT NULL,
	certificate TEXT NOT NULL,
	doc         TEXT NOT NULL,
	PRIMARY KEY (provider_id, id)
);
CREATE INDEX aik_certificates_expiry ON aik_certificates (provider_id, revoked, not_after);
CREATE INDEX aik_certificates_aik ON aik_certificates (provider_id, aik, revoked);
CREATE INDEX aik_certificates_ek ON aik_certificates (provider_id, ek, revoked);
CREATE TABLE tpm_pins (
	provider_id TEXT COLLATE BINARY NOT NULL,
	kind        TEXT COLLATE BINARY NOT NULL,
	hash        TEXT COLLATE BINARY NOT NULL,
	doc         TEXT NOT NULL,
	PRIMARY KEY (provider_id, kind, hash)
);
