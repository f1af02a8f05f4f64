package main

import (
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/assay-attestation/assay/internal/server"
)

// TestListenerOfADeletedProviderGivesItsAddressFree for that of a new one, also where both changes are seen at once.
func TestListenerOfADeletedProviderGivesItsAddressFree(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	l := &listeners{
		log: slog.New(slog.DiscardHandler), make: func(h http.Handler) *http.Server { return &http.Server{Handler: h} },
		wrap: func(l net.Listener) (net.Listener, error) { return l, nil },
	}
	l.begin(&server.Server{})
	defer l.end()
	for _, provider := range []string{"deleted", "new"} {
		l.set([]server.Listener{{ProviderID: provider, Address: address}})
	}
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := connection.Close(); err != nil {
		t.Error(err)
	}
}
