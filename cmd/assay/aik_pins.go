package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// pinEntry is a key that a provider's owner has pinned (docs/api.md).
type pinEntry struct {
	Kind string    `json:"kind"` // ek or aik
	Hash string    `json:"hash"` // SHA-256 of the key's SubjectPublicKeyInfo, hex
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// pinList is the result of aik pins.
type pinList struct {
	Pins []pinEntry `json:"pins"`
}

func (l *pinList) print(s sheet, _ error) {
	s.heading(green, "PINS", fmt.Sprint(len(l.Pins)))
	lines := [][]string{{"KIND", "HASH", "SINCE", "BY"}}
	for _, p := range l.Pins {
		lines = append(lines, []string{p.Kind, p.Hash, stamp(p.At), p.By})
	}
	s.table(lines)
}

// runAIKPins lists the keys that a provider believes because they are pinned: endorsement keys, then attestation keys.
func runAIKPins(ctx context.Context, c *call) error {
	var r remote
	if err := r.parse(c); err != nil {
		return err
	}
	list := &pinList{Pins: []pinEntry{}}
	for _, path := range []string{"/ek", "/aik/pins"} {
		if err := r.pins(ctx, path, list); err != nil {
			return c.tellService(err)
		}
	}
	return c.tell(list, nil)
}

// pins adds those at a path to the list.
func (r *remote) pins(ctx context.Context, path string, list *pinList) error {
	return inPages("pins", aikPage, func(query url.Values) (hashes []string, err error) {
		var page pinList
		err = r.native(ctx, message{method: http.MethodGet, path: path, query: query}, &page)
		for _, p := range page.Pins {
			hashes = append(hashes, p.Hash)
		}
		list.Pins = append(list.Pins, page.Pins...)
		return hashes, err
	})
}
