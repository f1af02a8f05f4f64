package explain

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// The variables of the policy of Secure Boot.
const (
	varSecureBoot = "SecureBoot"
	varPK         = "PK"
	varKEK        = "KEK"
	varDB         = "db"
	varDBX        = "dbx"
)

// unreadableVariable begins what is said about a variable that is not as UEFI has it.
const unreadableVariable = "an EFI variable that cannot be read: "

// variable says what an EFI variable means.
func (r *reader) variable(e *Event) string {
	if e.PCR == secureBootPCR && e.Type == eventlog.VariableAuthority {
		return r.authority(e.record.Data)
	}
	v, err := eventlog.ParseVariable(e.record.Data, r.limits)
	switch {
	case err != nil:
		return unreadableVariable + quoted(e.record.Data)
	case e.PCR == secureBootPCR && e.Type == eventlog.VariableDriverConfig:
		return policyVariable(v)
	case slices.Contains([]string{varSecureBoot, varPK, varKEK, varDB, varDBX}, v.Name):
		return settingOf(v) + " (this is not where firmware measures Secure Boot)"
	case e.Type == eventlog.VariableAuthority:
		return settingOf(v)
	}
	return bootVariable(v)
}

// What begins the sentences about the lists of Secure Boot.
const (
	ownerWords     = "the owner of the machine's Secure Boot keys (PK): "
	changersWords  = "who may change what is allowed to start (KEK): "
	allowedWords   = "what is allowed to start (db): "
	forbiddenWords = "what is forbidden to start (dbx): "
)

// policyVariable says what a variable of PCR 7 means.
func policyVariable(v eventlog.Variable) string {
	switch {
	case v.Name == varSecureBoot && v.GUID == eventlog.GlobalVariable():
		return secureBootWords(v.Data)
	case v.Name == varPK:
		return ownerWords + listWords(v.Data)
	case v.Name == varKEK:
		return changersWords + listWords(v.Data)
	case v.Name == varDB:
		return allowedWords + listWords(v.Data)
	case v.Name == varDBX:
		return forbiddenWords + listWords(v.Data)
	}
	return settingOf(v)
}

// settingOf says what a variable holds that has no words of its own. The modes of Secure Boot are those of UEFI 2.10, section 32.3.
func settingOf(v eventlog.Variable) string {
	modes := map[string]string{
		"SetupMode": "Secure Boot's SetupMode, in which anybody may set the keys", "AuditMode": "Secure Boot's AuditMode, in which what is forbidden starts as well",
		"DeployedMode": "Secure Boot's DeployedMode, in which only the owner of the keys changes the mode",
	}
	if words, ok := modes[v.Name]; ok && v.GUID == eventlog.GlobalVariable() {
		switch string(v.Data) {
		case "\x00":
			return words + ", is off"
		case "\x01":
			return words + ", is on"
		}
		return words + ", is not set"
	}
	return fmt.Sprintf("the setting %s of vendor %v: %s", quoted([]byte(v.Name)), v.GUID, quoted(v.Data))
}

func secureBootWords(value []byte) string {
	switch {
	case len(value) == 0:
		return "Secure Boot is off: the variable SecureBoot is empty"
	case len(value) == 1 && value[0] == 1:
		return "Secure Boot is on: the variable SecureBoot is 01"
	}
	return fmt.Sprintf("Secure Boot is off: the variable SecureBoot is %x", value[:min(len(value), shownBytes)])
}

// listWords says what is in a signature database.
func listWords(value []byte) string {
	entries, err := eventlog.ParseSignatureLists(value)
	if err != nil {
		return "a list that cannot be read"
	}
	return signatureWords(entries)
}

// signatureWords counts the entries of a database, and names the certificates.
func signatureWords(entries []eventlog.Signature) string {
	var certs []string
	hashes, others := 0, 0
	for _, s := range entries {
		switch s.Type {
		case eventlog.X509():
			certs = append(certs, subject(s.Data))
		case eventlog.SHA256():
			hashes++
		default:
			others++
		}
	}
	var parts []string
	if len(certs) > 0 {
		parts = append(parts, count(len(certs), "certificate")+" ("+enumerate(certs)+")")
	}
	if hashes > 0 {
		parts = append(parts, count(hashes, "hash"))
	}
	if others > 0 {
		parts = append(parts, count(others, "other entry"))
	}
	if len(parts) == 0 {
		return "empty"
	}
	return strings.Join(parts, ", ")
}

// count writes a number with its noun.
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "h"):
		noun += "es"
	case strings.HasSuffix(noun, "entry"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// shownNames is how many names of one kind a sentence has at most.
const shownNames = 8

// enumerate writes names one behind the other, each once.
func enumerate(names []string) string {
	var once []string
	seen := map[string]bool{}
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			once = append(once, n)
		}
	}
	if len(once) > shownNames {
		return fmt.Sprintf("%s and %d more", strings.Join(once[:shownNames], "; "), len(once)-shownNames)
	}
	return strings.Join(once, "; ")
}

// subject names a certificate.
func subject(der []byte) string {
	c, err := x509.ParseCertificate(der)
	switch {
	case err != nil:
		return "a certificate that cannot be read"
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	}
	return c.Subject.String()
}

// bootOrderWords begin what is said about the order of the boot menu.
const bootOrderWords = "boot entries are tried in this order: "

// bootVariable says what a variable of the boot menu means.
func bootVariable(v eventlog.Variable) string {
	if v.Name == "BootOrder" {
		return bootOrderWords + bootOrder(v.Data)
	}
	if isBootEntry(v.Name) {
		name, file := bootEntry(v.Data)
		if file != "" {
			file = `, which starts \` + file
		}
		return fmt.Sprintf("boot entry %s is %s%s", v.Name, quoted([]byte(name)), file)
	}
	return settingOf(v)
}

// isBootEntry reports whether the name is Boot and four hexadecimal digits.
func isBootEntry(name string) bool {
	digits, ok := strings.CutPrefix(name, "Boot")
	return ok && len(digits) == 4 && strings.Trim(digits, "0123456789ABCDEFabcdef") == ""
}
