package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Exec runs a statement on the connection that writes, beside all rules.
func Exec(s *Store, statement string, args ...any) error {
	_, err := s.write.ExecContext(context.Background(), statement, args...)
	return err
}

// MaxLine and MaxFindings are bounds that tests go to the edge of.
const (
	MaxLine     = maxLine
	MaxFindings = maxFindings
)

// TableNames are the tables that a backup holds.
func TableNames() (names []string) {
	for _, t := range tables() {
		names = append(names, t.name)
	}
	return names
}

// PolicyQueries are the queries that requests make of policies, for one of many providers.
func PolicyQueries() []string {
	return []string{
		strings.ReplaceAll(selectPolicy+newestPolicies, "$1", "'2'"),
		selectPolicy + "WHERE provider_id = '2' AND type = 'SgxEnclave' ORDER BY version DESC LIMIT 1",
		selectPolicy + "WHERE provider_id = '2' AND type = 'SgxEnclave' AND version = 3",
	}
}

// EnrolmentQueries are those of each enrolment but for the count of certificates, which everybody else waits for to write.
func EnrolmentQueries() (queries []string) {
	fill := strings.NewReplacer("$1", "'2'", "$2", "'7'")
	for _, q := range []string{selectAIKCertificate + whereRevoked("aik"), selectAIKCertificate + whereRevoked("ek"), strings.ReplaceAll(deleteExpired, "$2", "7")} {
		queries = append(queries, fill.Replace(q))
	}
	return queries
}

// MigrateTo brings an empty store to an old version of the schema.
func MigrateTo(s *Store, version int) error {
	steps, err := steps()
	if err != nil {
		return err
	}
	ctx := context.Background()
	return s.run(ctx, s.write, s.writing(), func(tx *Tx) error {
		if err := tx.exec("CREATE TABLE schema_version (version BIGINT NOT NULL)"); err != nil {
			return err
		}
		return tx.migrate(steps[:version])
	})
}

// Plan is what the engine says about a query.
func Plan(s *Store, explain string) (plan string, err error) {
	err = s.Read(context.Background(), func(tx *Tx) error {
		return each(tx, query[string]{scanPlan, explain, nil}, func(line string, err error) error {
			plan += line + "\n"
			return err
		})
	})
	return plan, err
}

func scanPlan(rows *sql.Rows) (string, error) {
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	row, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	err = rows.Scan(into...)
	return fmt.Sprint(row...), err
}
