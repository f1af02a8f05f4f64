package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/assay-attestation/assay/internal/audit"
	"github.com/assay-attestation/assay/internal/seal"
	"github.com/assay-attestation/assay/internal/server"
)

// auditReport is the result of audit verify.
type auditReport struct {
	Trail string      `json:"trail"` // the store, without user and password, or the file
	Sound bool        `json:"sound"`
	Rows  int64       `json:"rows"`          // that are sound, from the first on
	Head  string      `json:"head"`          // of the last of them, for --head the next time
	Note  string      `json:"note,omitzero"` // what is not shown by it
	Error *auditError `json:"error,omitzero"`
}

// auditError says where a trail is not as it was written.
type auditError struct {
	Row     int64  `json:"row,omitzero"`   // the first for which this shows
	Check   string `json:"check,omitzero"` // changed, missing, out-of-order, cut-off, other-head
	Message string `json:"message"`
}

// remedy says in a sentence what a problem means.
func remedy(p audit.Problem) string {
	return map[audit.Problem]string{
		audit.Changed:    "its record, number or MAC is not what was written, or --seal-key is another trail's",
		audit.Missing:    "it was taken away: a later row is there",
		audit.OutOfOrder: "it stands behind a later row, or twice",
		audit.CutOff:     "the trail ends before it, though it was there",
		audit.OtherHead:  "the trail is sound, but it is not the one that --head, or the mark in the store, was taken from",
	}[p]
}

func (r *auditReport) print(s sheet, err error) {
	if err == nil {
		s.heading(green, "SOUND", r.Trail)
		s.rows(row{"rows", fmt.Sprint(r.Rows)}, row{"head", r.Head}, row{"note", r.Note})
		return
	}
	s.heading(red, "BROKEN", r.Trail)
	before := row{"sound before", fmt.Sprintf("%d rows", r.Rows)}
	if broken, ok := errors.AsType[*audit.Broken](err); ok {
		s.rows(row{"row", fmt.Sprint(broken.Seq)}, row{"problem", string(broken.Problem) + ": " + remedy(broken.Problem)}, before)
		return
	}
	s.rows(row{"problem", err.Error()}, before)
}

// auditing is a call of audit verify.
type auditing struct {
	store   storeChoice
	sealKey string
	head    audit.Head // the zero value expects nothing
}

// runAuditVerify checks the audit trail in a store, or in a file of JSON lines.
func runAuditVerify(ctx context.Context, c *call) error {
	var a auditing
	c.storeVar(&a.store)
	c.StringVar(&a.sealKey, "seal-key", "", "`FILE` with the sealing key of the service (default "+server.SealFile+" in --data)")
	c.Func("head", "`SEQ:MAC` that an earlier run printed: nothing up to it may have changed since", func(s string) (err error) {
		a.head, err = audit.ParseHead(s)
		return err
	})
	pos, err := c.parse("[FILE]")
	if err != nil {
		return err
	}
	key, err := a.key(c)
	if err != nil {
		return err
	}
	if len(pos) == 0 {
		return a.verifyStore(ctx, c, key)
	}
	if c.isSet("store") || c.isSet("store-file") {
		return usage("FILE and --store exclude each other; --data may say where %s is", server.SealFile)
	}
	return a.verifyFile(ctx, c, key, pos[0])
}

// key opens the sealing key. It is never made: a new one verifies nothing.
func (a *auditing) key(c *call) (*seal.Key, error) {
	if a.sealKey == "" && a.store.data == "" {
		return nil, usage("--seal-key is missing, or --data with %s in it: only the key of the trail verifies it", server.SealFile)
	}
	file := a.sealKey
	if file == "" {
		file = filepath.Join(a.store.data, server.SealFile)
	}
	c.reads(file)
	key, err := seal.Open(file)
	if err != nil {
		return nil, badFile(err)
	}
	return key, nil
}

func (a *auditing) verifyStore(ctx context.Context, c *call, key *seal.Key) error {
	o, err := a.store.open(ctx, c, false)
	if err != nil {
		return err
	}
	defer o.Close()
	last, err := audit.NewTrail(o.Store, key).Verify(ctx, a.head)
	if err != nil && !errors.As(err, new(*audit.Broken)) {
		err = o.fault(err)
	}
	return c.tellTrail(&auditReport{Trail: o.name}, last, err)
}

func (a *auditing) verifyFile(ctx context.Context, c *call, key *seal.Key, name string) error {
	in := c.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return badFile(err)
		}
		defer f.Close()
		in = f
	}
	last, err := audit.NewChain(key).Verify(ctx, audit.Lines(in), audit.Head{}, a.head)
	r := &auditReport{Trail: name}
	if a.head.Seq == 0 {
		r.Note = "rows cut off at the end of a file, even all of them, show only with --head: a head kept from before"
	}
	return c.tellTrail(r, last, fileFault(err))
}

// tellTrail shows how far the trail is sound. What could not be read is no verdict.
func (c *call) tellTrail(r *auditReport, last audit.Head, err error) error {
	if status := exitStatus(err); status != exitOK && status != exitRefused {
		return err
	}
	r.Sound, r.Rows, r.Head = err == nil, last.Seq, last.String()
	if err != nil {
		r.Error = &auditError{Message: err.Error()}
		if broken, ok := errors.AsType[*audit.Broken](err); ok {
			r.Error.Row, r.Error.Check = broken.Seq, string(broken.Problem)
		}
	}
	return c.tell(r, err)
}

// runAuditShow prints rows of the audit trail as they are, one JSON object on each line.
func runAuditShow(ctx context.Context, c *call) error {
	var choice storeChoice
	c.storeVar(&choice)
	from := c.Int64("from", 1, "begin with row `N`")
	limit := c.Int("limit", 100, "print at most `N` rows")
	if _, err := c.parse(); err != nil {
		return err
	}
	if *limit < 1 {
		return usage("--limit %d: expected 1 or more", *limit)
	}
	o, err := choice.open(ctx, c, false)
	if err != nil {
		return err
	}
	defer o.Close()
	return o.fault(o.show(ctx, c.stdout, *from, *limit))
}

func (o *openStore) show(ctx context.Context, w io.Writer, from int64, limit int) error {
	out := audit.NewStream(w)
	for e, err := range audit.Rows(ctx, o.Store, from) {
		if err != nil {
			return err
		}
		if err := out.Write(e); err != nil {
			return err
		}
		if limit--; limit == 0 {
			break
		}
	}
	return nil
}
