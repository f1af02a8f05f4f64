package explain

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// sbatWords begin what is said about shim's list of revoked generations of boot loaders.
const sbatWords = "revocations that the boot loader shim applies (SBAT): "

// authority says who signed what then ran. Shim writes things of its own under this type.
func (r *reader) authority(data []byte) string {
	v, err := r.authorityVariable(data)
	switch {
	case err != nil:
		return unreadableVariable + quoted(data)
	case v.Name == "SbatLevel":
		return sbatWords + quoted(bytes.ReplaceAll(v.Data, []byte("\n"), []byte(" ")))
	case v.Name == "MokListTrusted":
		return "shim trusts the keys that the machine's owner added (MokListTrusted): " + quoted(v.Data)
	case len(v.Data) == 0:
		return fmt.Sprintf("the list %s, which is empty", v.Name)
	}
	if der := certificateOf(v.Data); der != nil {
		return fmt.Sprintf("what was started is signed by %s (%s)", subject(der), listName(v))
	}
	if _, err := eventlog.ParseSignatureLists(v.Data); err == nil {
		return fmt.Sprintf("the list %s: %s", v.Name, listWords(v.Data))
	}
	return fmt.Sprintf("what was started is allowed by %s: %s", listName(v), quoted(v.Data))
}

// padding is how many bytes shim writes too many behind a variable, at most (tpm-evidence.md section 4.1).
const padding = 8

// authorityVariable reads a variable as firmware writes it, or as shim does, with bytes behind it.
func (r *reader) authorityVariable(data []byte) (eventlog.Variable, error) {
	v, err := eventlog.ParseVariable(data, r.limits)
	for n := 1; err != nil && n <= min(padding, len(data)); n++ {
		if w, errAgain := eventlog.ParseVariable(data[:len(data)-n], r.limits); errAgain == nil {
			return w, nil
		}
	}
	return v, err
}

// listName says where the entry stands that allowed something.
func listName(v eventlog.Variable) string {
	switch v.Name {
	case varDB:
		return "an entry of db"
	case "Shim":
		return "built into shim"
	case "MokList":
		return "added by the machine's owner, MokList"
	}
	return v.Name
}

// certificateOf finds a certificate, with its owner's GUID before it as firmware writes it, or without; nil if there is none.
func certificateOf(data []byte) []byte {
	const owner = 16
	if _, err := x509.ParseCertificate(data); err == nil {
		return data
	}
	if len(data) <= owner {
		return nil
	}
	if _, err := x509.ParseCertificate(data[owner:]); err == nil {
		return data[owner:]
	}
	return nil
}
