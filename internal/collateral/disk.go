package collateral

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/strictjson"
	"github.com/assay-attestation/assay/internal/wholefile"
)

// The copies on disk are JSON files named by the key of their document, with the bytes as the source delivered them in
// base64. Only verified documents are written, so evidence cannot fill the disk; and what is read is verified again, so
// whoever can write the files can only take documents away.

// Beginnings and end of the names of copies.
const (
	tdxCopy        = "tdx-" // before the next two, of documents for TDX
	tcbInfoCopy    = "tcb-info-"
	qeIdentityCopy = "qe-identity-"
	pckCRLCopy     = "pck-crl-"
	rootCRLCopy    = "root-crl-"
	copyExt        = ".json"
)

// recall reads the copy of w from disk. Without a copy that may be used it returns no document; the error says what is
// wrong with a copy that is not just out of date.
func (c *Cache) recall(w want) (doc document, err error) {
	if c.cfg.Dir == "" {
		return document{}, nil
	}
	r, err := readCopy(c.copyName(w))
	if errors.Is(err, fs.ErrNotExist) {
		return document{}, nil
	}
	if err == nil {
		doc, err = c.verify(w, r)
	}
	if err != nil || c.check(doc) != nil {
		return document{}, err
	}
	return doc, nil
}

// store writes the copy of w, unless r is empty. The service goes on without one.
func (c *Cache) store(w want, r raw) {
	if c.cfg.Dir == "" || r.Document == nil {
		return
	}
	b, err := json.Marshal(r)
	if err == nil {
		err = os.MkdirAll(c.cfg.Dir, 0o700)
	}
	if err == nil {
		err = wholefile.Write(c.copyName(w), b, 0o600)
	}
	if err != nil {
		c.cfg.Logger.Warn("collateral cannot be stored", "item", w.String(), "error", err)
	}
}

// copyName is the path of the copy of w: all of its key, in words that are safe in a file name.
func (c *Cache) copyName(w want) string {
	issuer := hex.EncodeToString(w.issuer[:])
	name := ""
	switch w.kind {
	case TCBInfo:
		name = tcbInfoCopy + w.fmspc.String() + "-" + w.evaluation + "-" + issuer
	case QEIdentity:
		name = qeIdentityCopy + w.evaluation + "-" + issuer
	case PCKCRL:
		name = pckCRLCopy + string(w.ca) + "-" + issuer
	case RootCRL:
		name = rootCRLCopy + issuer
	}
	if w.tee == dcap.TDX {
		name = tdxCopy + name
	}
	return filepath.Join(c.cfg.Dir, name+copyExt)
}

func readCopy(name string) (r raw, err error) {
	f, err := os.Open(name)
	if err != nil {
		return r, err
	}
	defer f.Close()
	b, err := readBounded(f, 3*MaxDocument) // two documents of that size in base64
	if err != nil {
		return r, err
	}
	if err := strictjson.Exact(b, &r); err != nil {
		return r, fmt.Errorf("stored copy: %w", err)
	}
	return r, nil
}
