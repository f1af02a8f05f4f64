// Package store keeps what the service must not forget: providers, the versions of their policies, their sealed signing
// keys, and the audit trail. One SQL implementation works on SQLite (a file, one machine) and on PostgreSQL (several
// replicas). It takes no decision of trust: what it gives back is checked by whoever relies on it.
//
// Writes are serial over all processes: each transaction that writes first takes the one row of the table state. So what
// a transaction has read stays true until it ends, and no update can be lost. The same row counts the changes, by which
// replicas learn that there is something new.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite" // with the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Bounds of the database connections.
const (
	maxConnections = 16
	maxIdle        = 4
	maxLifetime    = 30 * time.Minute // by then a connection follows a server that has moved
	connectTime    = 10 * time.Second // how long connecting takes at most, unless the PostgreSQL URL says so
	aliveTime      = 2 * time.Second  // how long a connection that was not in use may take to show that it still works
	busyTime       = 10 * time.Second // how long a write waits for that of another process, SQLite only
)

// sessionSettings end the transaction of a replica that hangs or has lost its network, which would hold up all others; and have a
// commit wait for the disk, where the database's own default does not: what was answered must not be lost.
const sessionSettings = "SET idle_in_transaction_session_timeout = '60s'; " +
	"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"

// Store is an open database. It is safe for concurrent use.
type Store struct {
	write    *sql.DB
	read     *sql.DB
	postgres bool
}

// IsPostgres tells a PostgreSQL URL from the name of an SQLite file.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// ErrName is in the error of a name that is none of a store. The name, which may hold a password, is not.
var ErrName = errors.New("expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, or the name of an SQLite file")

// CheckName refuses what is meant for a database server, but would be taken for the name of a file: a URL of another kind, or the
// other form in which PostgreSQL's own tools take their parameters.
func CheckName(dsn string) error {
	if !IsPostgres(dsn) && (strings.Contains(dsn, "://") || strings.Contains(dsn, "password=") || strings.HasPrefix(dsn, "host=")) {
		return fmt.Errorf("the name of the store: %w", ErrName)
	}
	return nil
}

// Open opens the database that dsn names: a PostgreSQL URL, or the name of an SQLite file, which is made (0600) if it is
// not there. The schema is left as it is, see [Store.Migrate].
func Open(ctx context.Context, dsn string) (*Store, error) {
	s := &Store{postgres: IsPostgres(dsn)}
	err := CheckName(dsn)
	switch {
	case err == nil && s.postgres:
		err = s.openPostgres(dsn)
	case err == nil:
		err = s.openSQLite(dsn)
	}
	switch {
	case err == nil && s.postgres:
		err = s.write.PingContext(ctx)
	case err == nil:
		err = s.useWAL(ctx)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return s, nil
}

func (s *Store) openPostgres(dsn string) error {
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // it would quote the URL, with its password
		return fmt.Errorf("the PostgreSQL URL cannot be read: %w", ErrName)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTime
	}
	s.write = stdlib.OpenDB(*config,
		stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, sessionSettings)
			return err
		}),
		// A connection that broke while nobody used it is found before a transaction begins on it, and replaced.
		stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false }),
		stdlib.OptionResetSession(alive))
	s.write.SetMaxOpenConns(maxConnections)
	s.write.SetMaxIdleConns(maxIdle)
	s.write.SetConnMaxLifetime(maxLifetime)
	s.read = s.write
	return nil
}

// alive asks whether the server is still at the other end. Where the network has forgotten a connection no answer comes, ever.
func alive(ctx context.Context, c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	if c.Ping(ctx) != nil {
		return driver.ErrBadConn
	}
	return nil
}

// openSQLite opens the file twice: transactions that write take their lock at once, by which they wait for each other
// instead of failing; those that read never wait.
func (s *Store) openSQLite(name string) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	dsn := fmt.Sprintf("file:%s?_pragma=busy_timeout(%d)&_pragma=synchronous(FULL)", escape(name), busyTime.Milliseconds())
	if s.write, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(maxConnections)
	s.read.SetMaxIdleConns(maxIdle)
	return nil
}

// busyPause is the time between attempts of what SQLite does not wait for by itself.
const busyPause = 20 * time.Millisecond

// useWAL turns on the write-ahead log, which the file remembers. SQLite does not wait when another process opens or closes the
// same file just then; this does.
func (s *Store) useWAL(ctx context.Context) error {
	for end := time.Now().Add(busyTime); ; time.Sleep(busyPause) {
		_, err := s.write.ExecContext(ctx, "PRAGMA journal_mode=WAL")
		var locked *sqlite.Error
		if !errors.As(err, &locked) || locked.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(end) {
			return err
		}
	}
}

// escape writes a file name as part of an SQLite URI.
func escape(name string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(name)
}

// Close closes the connections.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.write, s.read} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Changes counts the writes so far, in all processes. It grows when there is something new to read.
func (s *Store) Changes(ctx context.Context) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT changes FROM state").Scan(&n)
	return n, wrap("counting the changes", err)
}

// Read runs fn in a transaction that sees one state of the store.
func (s *Store) Read(ctx context.Context, fn func(*Tx) error) error {
	opt := &sql.TxOptions{ReadOnly: true}
	if s.postgres {
		opt.Isolation = sql.LevelRepeatableRead
	}
	return s.run(ctx, s.read, opt, fn)
}

// Write runs fn in a transaction that can write, alone among those of all processes. If fn fails, or the commit does,
// nothing is written. fn may be slow only if everybody else may wait.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	return s.run(ctx, s.write, s.writing(), func(tx *Tx) error {
		if err := tx.exec("UPDATE state SET changes = changes + 1"); err != nil {
			return err
		}
		return fn(tx)
	})
}

// writing are the options of transactions that write. They wait for each other, so each must see what was written while it
// waited, whatever the default of the database is.
func (s *Store) writing() *sql.TxOptions {
	if s.postgres {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}

func (s *Store) run(ctx context.Context, db *sql.DB, opt *sql.TxOptions, fn func(*Tx) error) error {
	tx, err := db.BeginTx(ctx, opt)
	if err != nil {
		return wrap("beginning a transaction", err)
	}
	defer tx.Rollback() //nolint:errcheck // in vain once it is committed
	if err := fn(&Tx{ctx, tx, s.postgres}); err != nil {
		return err
	}
	err = tx.Commit()
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
		err = ctx.Err() // by which it was rolled back
	}
	return wrap("committing", err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	if lacksTable(err) {
		return fmt.Errorf("store: %w: there is none yet, run assay store migrate", ErrSchema)
	}
	if unreachable(err) {
		return fmt.Errorf("store: %s: %w: %w", doing, ErrUnavailable, err)
	}
	return fmt.Errorf("store: %s: %w", doing, err)
}

// ErrUnavailable is in the error of whatever failed because the database could not be reached, or did not answer in time. Whether a
// write was made is not known then.
var ErrUnavailable = errors.New("the database cannot be reached")

// unreachable tells a server that is away, or about to be, from one that refuses a statement.
func unreachable(err error) bool {
	var fault *pgconn.PgError
	if errors.As(err, &fault) {
		switch fault.Code {
		case "57P01", "57P02", "57P03", "53300": // admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections
			return true
		}
		return strings.HasPrefix(fault.Code, "08") // connection exceptions
	}
	var locked *sqlite.Error
	if errors.As(err, &locked) {
		return locked.Code()&0xff == sqlite3.SQLITE_BUSY // another process has been writing for all of busyTime
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded)
}

// lacksTable reports whether a statement failed because there is no such table.
func lacksTable(err error) bool {
	var fault *pgconn.PgError
	if errors.As(err, &fault) {
		return fault.Code == "42P01" // undefined_table
	}
	return strings.Contains(err.Error(), "no such table: ")
}
