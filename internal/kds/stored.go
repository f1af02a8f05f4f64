package kds

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/assay-attestation/assay/evidence/snp"
)

// maxStored is how many files of certificates may be stored.
const maxStored = 10_000

// readStored reads the stored certificates. Which ones there are is told by their content: VCEKs are found by chip and TCB, all others may be
// of their chains. A VCEK that does not count is passed over with a warning, so that one that expires does not keep the service from starting.
func (c *Client) readStored() error {
	var leafs, others certificates
	files, err := storedFiles(c.cfg.Stored)
	if err != nil {
		return err
	}
	for _, name := range files {
		found, err := readStoredFile(name)
		if err != nil {
			return fmt.Errorf("amd_certificates: %s: %w", name, err)
		}
		for _, cert := range found {
			if cert.IsCA {
				others = append(others, cert)
			} else {
				leafs = append(leafs, cert)
			}
		}
	}
	for _, leaf := range leafs {
		if err := c.keep(leaf, others); err != nil {
			c.cfg.Logger.Warn("a certificate of amd_certificates is not used", "subject", leaf.Subject.CommonName, "serial", leaf.SerialNumber, "error", err)
		}
	}
	return nil
}

// keep has the chain of a leaf at hand if it counts. It has others only if it needs any.
func (c *Client) keep(leaf *x509.Certificate, others certificates) error {
	chain, opt := &snp.Chain{Leaf: leaf}, snp.Options{At: c.cfg.Clock()}
	s, err := c.cfg.Roots.Trace(chain, opt)
	if errors.Is(err, snp.ErrMissing) {
		chain.Others = others
		s, err = c.cfg.Roots.Trace(chain, opt)
	}
	if err != nil {
		return err
	}
	k, err := keyOf(s)
	if err == nil {
		c.stored[k] = chain
	}
	return err
}

// storedFiles lists the files, those in folders included. Hidden ones and folders in folders are passed over.
func storedFiles(names []string) (files []string, err error) {
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("amd_certificates: %w", err)
		}
		if !info.IsDir() {
			files = append(files, name)
			continue
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			return nil, fmt.Errorf("amd_certificates: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, filepath.Join(name, e.Name()))
			}
		}
	}
	if len(files) > maxStored {
		return nil, fmt.Errorf("amd_certificates: expected at most %d files, found %d", maxStored, len(files))
	}
	return files, nil
}

func readStoredFile(name string) (certificates, error) {
	b, err := readFile(name)
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, p.Err
	}
	if err != nil {
		return nil, err
	}
	return readCertificates(b)
}

// inForce reports whether the dates of the leaf hold; those above it live longer, and are looked at when the chain is traced.
func inForce(chain *snp.Chain, at time.Time) bool {
	return !at.Before(chain.Leaf.NotBefore) && !at.After(chain.Leaf.NotAfter)
}
