package kds

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/wholefile"
)

// The copies on disk are the certificates of a chain in DER, leaf first, in files named by their keys. Only chains that count are
// written, so evidence cannot fill the disk; and what is read is checked again, so whoever can write the files can only take them away.

// copyExt is the end of the names of copies.
const copyExt = ".der"

// list learns which copies there are. The files are read when they are needed.
func (c *Client) list() error {
	if c.cfg.Dir == "" {
		return nil
	}
	entries, err := os.ReadDir(c.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cache of certificates: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !e.Type().IsRegular() || !c.isCopy(e.Name()) })
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(modified(a), modified(b)) })
	for _, e := range entries {
		c.known.Add(e.Name(), nil)
	}
	return nil
}

// isCopy reports whether a name is one that [key.name] gives.
func (c *Client) isCopy(name string) bool {
	product, rest, _ := strings.Cut(strings.TrimSuffix(name, copyExt), "-")
	return strings.HasSuffix(name, copyExt) && slices.Contains(c.products, snp.Product(product)) && strings.Contains(rest, "-")
}

// modified is when a file was written, in nanoseconds; zero if it is gone.
func modified(e fs.DirEntry) int64 {
	info, err := e.Info()
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}

// recall gives the chain of k if it is at hand and in force.
func (c *Client) recall(k key) *snp.Chain {
	if chain := c.stored[k]; chain != nil && inForce(chain, c.cfg.Clock()) {
		return chain
	}
	c.mu.Lock()
	chain, ok := c.known.Get(k.name())
	c.mu.Unlock()
	if chain != nil && inForce(chain, c.cfg.Clock()) {
		return chain
	}
	if !ok || chain != nil {
		return nil
	}
	return c.read(k)
}

// read reads the copy of k. One that does not count stays until there is another one: perhaps it is the clock that is wrong.
func (c *Client) read(k key) *snp.Chain {
	chain, err := c.readCopy(k)
	if err != nil {
		c.cfg.Logger.Warn("stored copy of a certificate is not used", "item", k.String(), "error", err)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Add(k.name(), chain)
	return chain
}

func (c *Client) readCopy(k key) (*snp.Chain, error) {
	b, err := readFile(filepath.Join(c.cfg.Dir, k.name()))
	if err != nil {
		return nil, err
	}
	found, err := readCertificates(b)
	if err != nil {
		return nil, err
	}
	chain := &snp.Chain{Leaf: found[0], Others: found[1:]}
	return chain, c.check(k, chain)
}

// readFile reads a file of at most maxAnswer bytes; of a longer one it gives more than that.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxAnswer+1))
}

// store writes the copy of k. The service goes on without one.
func (c *Client) store(k key, chain *snp.Chain) {
	if c.cfg.Dir == "" {
		return
	}
	b := slices.Clone(chain.Leaf.Raw)
	for _, cert := range chain.Others {
		b = append(b, cert.Raw...)
	}
	err := os.MkdirAll(c.cfg.Dir, 0o700)
	if err == nil {
		err = wholefile.Write(filepath.Join(c.cfg.Dir, k.name()), b, 0o600)
	}
	if err != nil {
		c.cfg.Logger.Warn("certificate cannot be stored", "item", k.String(), "error", err)
	}
}

// forget removes the copy of a chain for which there is no room any more.
func (c *Client) forget(name string, _ *snp.Chain) {
	if c.cfg.Dir == "" {
		return
	}
	if err := os.Remove(filepath.Join(c.cfg.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.cfg.Logger.Warn("stored copy of a certificate cannot be removed", "file", name, "error", err)
	}
}
