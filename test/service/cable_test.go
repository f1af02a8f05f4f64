package service_test

import (
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
)

// cable is between a replica and its PostgreSQL.
type cable struct {
	to string // the socket of the server

	mu   sync.Mutex
	live []*link
}

// link is one connection.
type link struct {
	mu   sync.Mutex // held while nothing passes
	ends [2]net.Conn
}

// newCable lays a cable to the database, and returns the URL of its other end.
func newCable(t *testing.T, dsn string) (*cable, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	const socket = ".s.PGSQL.5432"
	query := u.Query()
	c := &cable{to: filepath.Join(query.Get("host"), socket)}
	if query.Get("host") == "" {
		vectortest.Missing(t, "a PostgreSQL server on a socket of this machine")
	}
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			c.lay(near)
		}
	}()
	query.Set("host", dir)
	u.RawQuery = query.Encode()
	return c, u.String()
}

// lay connects one connection with the server.
func (c *cable) lay(near net.Conn) {
	far, err := net.Dial("unix", c.to)
	if err != nil {
		near.Close()
		return
	}
	l := &link{ends: [2]net.Conn{near, far}}
	c.mu.Lock()
	c.live = append(c.live, l)
	c.mu.Unlock()
	go l.pass(0, 1)
	go l.pass(1, 0)
}

func (l *link) pass(from, to int) {
	b := make([]byte, 32<<10)
	for {
		n, err := l.ends[from].Read(b)
		l.mu.Lock()
		//lint:ignore SA2001 it waits while the connection is cut
		l.mu.Unlock()
		if err == nil {
			_, err = l.ends[to].Write(b[:n])
		}
		if err != nil {
			l.ends[to].Close()
			return
		}
	}
}

// cut lets nothing pass on the connections that there are, without a word to either end, as a firewall does that has forgotten
// them. New ones work.
func (c *cable) cut(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.live {
		l.mu.Lock()
	}
	cut := c.live
	c.live = nil
	t.Cleanup(func() {
		for _, l := range cut {
			l.mu.Unlock()
			l.ends[0].Close()
			l.ends[1].Close()
		}
	})
}
