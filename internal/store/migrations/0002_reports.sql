-- The longest validity of a report that a provider has issued, in seconds: as long are its keys listed.
ALTER TABLE providers ADD COLUMN longest_report BIGINT NOT NULL DEFAULT 0;
