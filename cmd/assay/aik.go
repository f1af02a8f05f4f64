package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Lists are asked for in pages, for keys of aikPage entries, of which maxAIKPages are read.
const (
	aikPage     = 1000
	maxAIKPages = 100
)

// aikRoute is the path of the certificates of attestation keys (native.md section 4).
const aikRoute = "/aik/certificates"

// aikCertificate is a certificate that a service gave to an attestation key (docs/api.md).
type aikCertificate struct {
	ID          string    `json:"id"`
	State       string    `json:"state"`                // valid, revoked or expired; not of the service
	Certificate string    `json:"certificate,omitzero"` // DER, base64url
	NotAfter    time.Time `json:"notAfter"`
	AIK         string    `json:"aikHash,omitzero"` // SHA-256 of the key's SubjectPublicKeyInfo, hex
	EK          string    `json:"ekHash,omitzero"`  // likewise of the endorsement key
	By          string    `json:"by,omitzero"`
	At          time.Time `json:"at,omitzero"`
	RevokedAt   time.Time `json:"revokedAt,omitzero"`
	RevokedBy   string    `json:"revokedBy,omitzero"`
	Reason      string    `json:"reason,omitzero"`
}

// judge sets the state of the certificate at a time.
func (a *aikCertificate) judge(at time.Time) {
	switch {
	case !a.RevokedAt.IsZero():
		a.State = "revoked"
	case at.After(a.NotAfter):
		a.State = "expired"
	default:
		a.State = "valid"
	}
}

// aikReport is the result of aik show and of aik revoke.
type aikReport struct {
	*aikCertificate
	done string
}

func (r aikReport) print(s sheet, _ error) {
	colour := red
	if r.State == "valid" {
		colour = green
	}
	s.heading(colour, r.done, r.ID)
	s.rows(
		row{"state", r.State}, row{"AIK", r.AIK}, row{"EK", r.EK}, row{"until", stamp(r.NotAfter)},
		row{"issued", change{By: r.By, At: r.At}.text()}, row{"revoked", change{By: r.RevokedBy, At: r.RevokedAt}.text()},
		row{"reason", r.Reason},
	)
}

// aikList is the result of aik list.
type aikList struct {
	Certificates []*aikCertificate `json:"certificates"`
}

func (l *aikList) print(s sheet, _ error) {
	s.heading(green, "CERTIFICATES", fmt.Sprint(len(l.Certificates)))
	lines := [][]string{{"ID", "STATE", "UNTIL", "AIK", "BY"}}
	for _, a := range l.Certificates {
		lines = append(lines, []string{a.ID, a.State, stamp(a.NotAfter), a.AIK, a.By})
	}
	s.table(lines)
}

// runAIKList lists the certificates that a provider gave to attestation keys.
func runAIKList(ctx context.Context, c *call) error {
	var r remote
	if err := r.parse(c); err != nil {
		return err
	}
	list, err := r.aiks(ctx)
	if err != nil {
		return c.tellService(err)
	}
	for _, a := range list.Certificates {
		a.judge(c.now())
	}
	return c.tell(list, nil)
}

// aiks gets the whole list.
func (r *remote) aiks(ctx context.Context) (*aikList, error) {
	list := &aikList{Certificates: []*aikCertificate{}}
	err := inPages("certificates", aikPage, func(query url.Values) (ids []string, err error) {
		var page aikList
		err = r.native(ctx, message{method: http.MethodGet, path: aikRoute, query: query}, &page)
		for _, a := range page.Certificates {
			if a == nil {
				a = &aikCertificate{}
			}
			ids = append(ids, a.ID)
		}
		list.Certificates = append(list.Certificates, page.Certificates...)
		return ids, err
	})
	return list, err
}

// inPages gets a list in pages of top entries: get asks for one, and gives what identifies its entries, which are in the order of that.
func inPages(what string, top int, get func(url.Values) (ids []string, err error)) error {
	last := ""
	for range maxAIKPages {
		query := url.Values{"top": {strconv.Itoa(top)}}
		if last != "" {
			query.Set("after", last)
		}
		ids, err := get(query)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if id <= last {
				return &serviceError{err: fmt.Errorf("the service lists %s out of order, so that the list may have no end", what)}
			}
			last = id
		}
	}
	return &serviceError{err: fmt.Errorf("the service lists %s on more than %d pages", what, maxAIKPages)}
}

// runAIKShow shows one certificate.
func runAIKShow(ctx context.Context, c *call) error {
	return c.oneAIK(ctx, "CERTIFICATE", func(id string) (message, error) {
		return message{method: http.MethodGet, path: aikRoute + "/" + url.PathEscape(id)}, nil
	})
}

// runAIKRevoke revokes a certificate: reports of the key are refused from then on.
func runAIKRevoke(ctx context.Context, c *call) error {
	reason := c.String("reason", "", "`TEXT` that says why, for those who read it later")
	return c.oneAIK(ctx, "REVOKED", func(id string) (message, error) {
		return jsonMessage(http.MethodPost, aikRoute+"/"+url.PathEscape(id)+":revoke", map[string]string{"reason": *reason})
	})
}

// oneAIK runs a command about one certificate, which the service answers with it.
func (c *call) oneAIK(ctx context.Context, done string, ask func(id string) (message, error)) error {
	var r remote
	c.managedVar(&r)
	pos, err := c.parse("ID", "--endpoint")
	if err == nil {
		err = r.ready(c)
	}
	if err != nil {
		return err
	}
	m, err := ask(pos[0])
	if err != nil {
		return err
	}
	answer := &aikCertificate{}
	if err := r.native(ctx, m, answer); err != nil {
		return c.tellService(err)
	}
	if answer.ID != pos[0] {
		return &serviceError{err: fmt.Errorf("the service answered about the certificate %q, not about %q", answer.ID, pos[0])}
	}
	if m.method != http.MethodGet && answer.RevokedAt.IsZero() {
		return &serviceError{err: fmt.Errorf("the service answered without saying that the certificate %q is revoked", answer.ID)}
	}
	answer.judge(c.now())
	return c.tell(aikReport{answer, done}, nil)
}
