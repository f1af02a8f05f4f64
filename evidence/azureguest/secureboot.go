package azureguest

import (
	"crypto/sha256"
	"slices"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/measured"
)

// SecureBootKeys are the variables of secure boot that a provider expects (setting azureguest_secureboot_keys): for each entry of a list the
// SHA-256 of its certificate (DER), or for an entry that is a SHA-256 the entry itself. Order and repetition do not matter. A list that is empty is not
// expected to be anything: no machine matches it.
//
// The certificates of dbx have a list of their own: who may write dbx could put a SHA-256 that is the fingerprint of a certificate in its place, which
// forbids nothing. In the lists of what may run, an entry so changed allows less.
type SecureBootKeys struct {
	PK, KEK, DB, DBX [][sha256.Size]byte
	DBXCertificates  [][sha256.Size]byte
}

// KeysOf gives the keys that a machine measured into PCR 7, to be expected of others; whether secure boot is on does not matter. They deserve as much
// belief as s: a quote vouches for that of a [measured.Boot], nobody for that of a [measured.Unquoted]. The lists are empty without PCR 7. Entries that are
// neither certificate nor SHA-256 are left out; a machine that has one matches no set in that list.
func KeysOf(s measured.SecureBoot) SecureBootKeys {
	certificates, rest := apart(s.DBX)
	return SecureBootKeys{entriesOf(s.PK).hashes, entriesOf(s.KEK).hashes, entriesOf(s.DB).hashes, rest.hashes, certificates.hashes}
}

// apart gives the certificates of a list, and what else is in it.
func apart(list []eventlog.Signature) (certificates, rest entries) {
	var of [2][]eventlog.Signature
	for _, s := range list {
		if s.Type == eventlog.X509() {
			of[0] = append(of[0], s)
		} else {
			of[1] = append(of[1], s)
		}
	}
	return entriesOf(of[0]), entriesOf(of[1])
}

// entries are those of a list of a machine.
type entries struct {
	hashes [][sha256.Size]byte // in their order, each once
	others bool                // there are some of a type that has no hash here
}

func entriesOf(list []eventlog.Signature) (e entries) {
	seen := map[[sha256.Size]byte]bool{}
	for _, s := range list {
		h, ok := hashOf(s)
		if !ok {
			e.others = true
		} else if !seen[h] {
			seen[h] = true
			e.hashes = append(e.hashes, h)
		}
	}
	return e
}

// hashOf gives what an entry is expected by; false for an entry of another type than certificate and SHA-256.
func hashOf(s eventlog.Signature) (h [sha256.Size]byte, ok bool) {
	switch {
	case s.Type == eventlog.X509():
		return sha256.Sum256(s.Data), true
	case s.Type == eventlog.SHA256() && len(s.Data) == len(h):
		return [sha256.Size]byte(s.Data), true
	}
	return h, false
}

// keyFacts are the claims about the variables of secure boot: whether owners (PK and KEK), db and dbx are those of one set.
type keyFacts struct{ owners, db, dbx bool }

// match holds the lists of a machine against the set that most of the three fit, the first of several: a db of one set with the dbx of another is none that
// somebody chose. The lists are what PCR 7 vouches for with secure boot off as well; the claims then say what would hold if it were on.
func match(s measured.SecureBoot, expected []SecureBootKeys) (best keyFacts) {
	pk, kek, db := entriesOf(s.PK), entriesOf(s.KEK), entriesOf(s.DB)
	certificates, rest := apart(s.DBX)
	for _, set := range expected {
		dbx := len(s.DBX) > 0 && certificates.same(set.DBXCertificates) && rest.same(set.DBX)
		f := keyFacts{owners: pk.are(set.PK) && kek.are(set.KEK), db: db.are(set.DB), dbx: dbx}
		if f.count() > best.count() {
			best = f
		}
	}
	return best
}

func (f keyFacts) count() (n int) {
	for _, fits := range []bool{f.owners, f.db, f.dbx} {
		if fits {
			n++
		}
	}
	return n
}

// are compares the entries, of which there must be some, with what is expected.
func (e entries) are(expected [][sha256.Size]byte) bool { return len(e.hashes) > 0 && e.same(expected) }

// same compares the entries with what is expected, as sets.
func (e entries) same(expected [][sha256.Size]byte) bool {
	wanted := map[[sha256.Size]byte]bool{}
	for _, h := range expected {
		wanted[h] = true
	}
	other := func(h [sha256.Size]byte) bool { return !wanted[h] }
	return !e.others && len(e.hashes) == len(wanted) && !slices.ContainsFunc(e.hashes, other)
}

// secureBoot is what PCR 7 says; nothing without a log.
func (v *Verified) secureBoot() measured.SecureBoot {
	if v.machine.boot == nil {
		return measured.SecureBoot{}
	}
	return v.machine.boot.SecureBoot()
}
