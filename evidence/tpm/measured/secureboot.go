package measured

import (
	"bytes"
	"encoding/asn1"
	"slices"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
)

// secureBootPCR is where firmware measures the policy of secure boot, and who signed what it then ran.
const secureBootPCR = 7

// The data of records in PCR 7 that have a meaning of their own. Some firmware counts the NUL behind a text.
const (
	separatorZero = "\x00\x00\x00\x00"
	separatorOnes = "\xFF\xFF\xFF\xFF"
	debugMode     = "UEFI Debug Mode"
	dmaDisabled   = "DMA Protection Disabled"
)

// The variables of the policy, of which each may be measured once.
const (
	varSecureBoot = "SecureBoot"
	varPK         = "PK"
	varKEK        = "KEK"
	varDB         = "db"
	varDBX        = "dbx"
	varDBT        = "dbt"
	varDBR        = "dbr"
)

// SecureBoot is what PCR 7 says, as far as it is quoted.
type SecureBoot struct {
	Enabled               bool
	DMAProtectionDisabled bool
	PK, KEK, DB, DBX      []eventlog.Signature
	// Authorities are what firmware and boot loaders found their images signed by, as far as believed. The type is that of a
	// certificate or a SHA-256, or zero for another thing. Nothing says which of them were logged before the operating system
	// started.
	Authorities []eventlog.Signature
}

// SecureBoot gives the state of secure boot.
func (b *Boot) SecureBoot() SecureBoot { return b.secure }

// pcr7 is the state of PCR 7 while its records are read (tpm-evidence.md section 6).
type pcr7 struct {
	any         bool // there is a record at all
	separated   bool
	variables   map[string]variable
	authorities []eventlog.Signature
	unprotected bool // DMA protection is disabled

	separators, debug, dma mark
}

func newPCR7(banks []tpm.Bank) pcr7 {
	return pcr7{
		variables: map[string]variable{}, separators: newMark(banks, separatorZero, separatorOnes),
		debug: newMark(banks, debugMode, debugMode+"\x00"), dma: newMark(banks, dmaDisabled, dmaDisabled+"\x00"),
	}
}

// measuredSecureBoot takes a record of PCR 7 in; d is what was decoded of its data.
func (j *judge) measuredSecureBoot(r *eventlog.Record, data believed, d decoded) error {
	s := &j.secure
	s.any, s.unprotected = true, s.unprotected || j.marks(s.dma, r)
	if !s.separated {
		if err := j.beforeSeparator(r, data); err != nil {
			return err
		}
	}
	if j.marks(s.debug, r) {
		return j.refuse(evidence.SecureBootLog, r, "says that the firmware is in debug mode").Want("no debug mode", debugMode).
			Do("leave the debug mode of the firmware")
	}
	if r.Type == eventlog.Separator || j.marks(s.separators, r) {
		return j.separator(r, data)
	}
	switch r.Type {
	case eventlog.VariableDriverConfig:
		return j.policyVariable(r, d)
	case eventlog.VariableAuthority:
		return j.authority(r, d)
	}
	return nil
}

// beforeSeparator refuses what firmware does not measure before the separator of PCR 7.
func (j *judge) beforeSeparator(r *eventlog.Record, data believed) error {
	switch r.Type {
	case eventlog.Separator, eventlog.VariableDriverConfig, eventlog.VariableAuthority, eventlog.EFIAction:
	default:
		return j.refuse(evidence.EventLogType, r, "does not belong before the separator of PCR 7").
			Want("a variable, EV_EFI_ACTION or EV_SEPARATOR", r.Type).Do(resend)
	}
	if !data.holds {
		return j.edited(r)
	}
	if r.Type != eventlog.EFIAction {
		return nil
	}
	if _, ok := decodeVariable(data, j.opt.Limits).(variable); ok {
		return j.relabelled(r, "an EFI variable")
	}
	return nil
}

// relabelled refuses a variable that would vanish under the type that the log gives it.
func (j *judge) relabelled(r *eventlog.Record, what string) error {
	return j.refuse(evidence.EventLogType, r, "is "+what+" under another type").Want("EV_EFI_VARIABLE_DRIVER_CONFIG", r.Type).Do(resend)
}

// separator takes the separator in. One is known by its digest, too: retyped, it would make what comes after it look early.
func (j *judge) separator(r *eventlog.Record, data believed) error {
	switch {
	case j.secure.separated:
		return j.refuse(evidence.SecureBootLog, r, "is a second separator of PCR 7").Want("one", "two").Do(resend)
	case r.Type != eventlog.Separator:
		return j.refuse(evidence.EventLogType, r, "is the separator of PCR 7 under another type").Want("EV_SEPARATOR", r.Type).Do(resend)
	case !data.is(separatorZero) && !data.is(separatorOnes):
		return j.refuse(evidence.SecureBootLog, r, "is a separator that tells of an error of the firmware").Want("00000000 or FFFFFFFF", hexText(data.data)).
			Do("look for the error in the firmware's own log")
	}
	j.secure.separated = true
	return nil
}

// policyVariable takes a variable of the policy in.
func (j *judge) policyVariable(r *eventlog.Record, d decoded) error {
	v, ok := d.(variable)
	if !ok {
		return j.refuse(evidence.SecureBootLog, r, "is no EFI variable").
			Want("GUID, name and value, and nothing more", plural(len(r.Data), "byte", "bytes")).Do(resend)
	}
	if j.secure.separated {
		return j.refuse(evidence.SecureBootLog, r, "sets the variable "+v.Name+" after the separator of PCR 7").
			Want("variables before the separator", "one after it").Do("restart the machine: something wrote into PCR 7 after the start")
	}
	vendor, known := vendorOf(v.Name)
	if !known {
		return nil
	}
	if v.GUID != vendor {
		return j.refuse(evidence.SecureBootLog, r, "is a variable "+v.Name+" of another vendor").Want(vendor, v.GUID).Do(resend)
	}
	if _, twice := j.secure.variables[v.Name]; twice {
		return j.refuse(evidence.SecureBootLog, r, "is a second variable "+v.Name).Want("one", "two").Do(resend)
	}
	j.secure.variables[v.Name] = v
	return nil
}

// vendorOf gives the GUID that a variable of the policy must have.
func vendorOf(name string) (eventlog.GUID, bool) {
	switch name {
	case varSecureBoot, varPK, varKEK:
		return eventlog.GlobalVariable(), true
	case varDB, varDBX, varDBT, varDBR:
		return eventlog.ImageSecurity(), true
	}
	return eventlog.GUID{}, false
}

// misplaced reports whether d is a variable of the policy of secure boot that firmware did not measure as one: outside of PCR 7 or under another
// type anybody could have written it after the start, and published policies look at the name only.
func misplaced(r *eventlog.Record, d decoded) bool {
	v, ok := d.(variable)
	if !ok || r.PCR == secureBootPCR && r.Type == eventlog.VariableDriverConfig {
		return false
	}
	if r.Type == eventlog.VariableAuthority {
		return slices.Contains([]string{varSecureBoot, varPK, varKEK, varDBX}, v.Name)
	}
	_, known := vendorOf(v.Name)
	return known
}

// authority takes in what an image was found signed by. Boot loaders log such records after the separator, some with a digest that leaves out
// the last byte: those say nothing. Before the separator the record must be one, and of a database of what may run: any other variable
// under this type would vanish.
func (j *judge) authority(r *eventlog.Record, d decoded) error {
	v, ok := d.(variable)
	if !ok {
		if j.secure.separated {
			return nil
		}
		return j.refuse(evidence.SecureBootLog, r, "is no EFI variable").
			Want("GUID, name and value, and nothing more", plural(len(r.Data), "byte", "bytes")).Do(resend)
	}
	if !j.secure.separated && (v.GUID != eventlog.ImageSecurity() || v.Name == varDBX) {
		return j.relabelled(r, "the variable "+v.Name)
	}
	if s, ok := authorityOf(v); ok {
		j.secure.authorities = append(j.secure.authorities, s)
	}
	return nil
}

// authorityOf reads the certificate or hash of an authority record: with its owner before it as firmware writes it, or
// without as shim does. Shim's other variables (SbatLevel, MokListTrusted) are neither.
func authorityOf(v variable) (eventlog.Signature, bool) {
	if isCertificate(v.Data) {
		return eventlog.Signature{Type: eventlog.X509(), Data: v.Data}, true
	}
	s := eventlog.Signature{}
	if len(v.Data) <= len(s.Owner) {
		return s, false
	}
	s.Owner, s.Data = eventlog.GUID(v.Data), v.Data[len(s.Owner):]
	switch {
	case isCertificate(s.Data):
		s.Type = eventlog.X509()
	case v.GUID == eventlog.Shim():
		return s, false
	case len(s.Data) == tpm.SHA256.Size():
		s.Type = eventlog.SHA256()
	}
	return s, true
}

// isCertificate reports whether b is one DER sequence, as a certificate is.
func isCertificate(b []byte) bool {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(b, &v)
	return err == nil && len(rest) == 0 && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence && v.IsCompound
}

// finishSecureBoot applies the rules for PCR 7 as a whole. Logs without any record of it, which fit a quote of its start value
// only, say that secure boot is off.
func (j *judge) finishSecureBoot() error {
	s, out := &j.secure, &j.boot.secure
	if !s.any {
		j.opt.Journal.Pass(evidence.SecureBootLog, "off: nothing was measured into PCR 7")
		return nil
	}
	if !s.separated {
		return refuseSecureBoot("PCR 7 has no separator").Want("one EV_SEPARATOR", "none").Do(resend)
	}
	if err := s.readLists(out); err != nil {
		return err
	}
	out.DMAProtectionDisabled, out.Authorities = s.unprotected, s.authorities
	value := s.variables[varSecureBoot].Data
	if len(value) > 1 {
		return refuseSecureBoot("the variable SecureBoot has a wrong size").Want("1 byte, or none", plural(len(value), "byte", "bytes")).Do(resend)
	}
	if len(value) == 0 || value[0] != 1 {
		j.opt.Journal.Pass(evidence.SecureBootLog, "off")
		return nil
	}
	return j.secureBootOn(out)
}

// readLists reads the signature lists of the policy. One that was not measured is empty.
func (s *pcr7) readLists(out *SecureBoot) (err error) {
	var unused []eventlog.Signature
	for _, list := range []struct {
		name string
		to   *[]eventlog.Signature
	}{{varPK, &out.PK}, {varKEK, &out.KEK}, {varDB, &out.DB}, {varDBX, &out.DBX}, {varDBT, &unused}, {varDBR, &unused}} {
		if *list.to, err = eventlog.ParseSignatureLists(s.variables[list.name].Data); err != nil {
			return unreadable(evidence.SecureBootLog, "the variable "+list.name, err)
		}
	}
	return nil
}

// secureBootOn applies the rules for a machine that says that secure boot is on.
func (j *judge) secureBootOn(out *SecureBoot) error {
	for _, list := range []struct {
		name    string
		entries []eventlog.Signature
	}{{varPK, out.PK}, {varKEK, out.KEK}, {varDB, out.DB}} {
		if len(list.entries) == 0 {
			return refuseSecureBoot("secure boot is on with an empty variable "+list.name).Want("at least one entry", "none").
				Do("enroll the keys of secure boot, or switch it off")
		}
	}
	if len(out.Authorities) == 0 && !j.opt.WithoutAuthority {
		return refuseSecureBoot("secure boot is on, but no record says what an image was found signed by").
			Want("an EV_EFI_VARIABLE_AUTHORITY in PCR 7", "none").
			Do("send the whole log; a provider accepts such machines with tpm_secureboot_require_authority off")
	}
	out.Enabled = true
	found := "on"
	if !slices.ContainsFunc(out.Authorities, func(s eventlog.Signature) bool { return listed(out.DB, s) }) {
		found = "on; no image was found signed by an entry of db"
	}
	j.opt.Journal.Pass(evidence.SecureBootLog, found)
	return nil
}

// listed reports whether the certificate or hash is in the database.
func listed(db []eventlog.Signature, s eventlog.Signature) bool {
	return slices.ContainsFunc(db, func(e eventlog.Signature) bool { return bytes.Equal(e.Data, s.Data) })
}

func refuseSecureBoot(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.SecureBootLog, "%s", problem)
}
