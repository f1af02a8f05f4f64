package dcap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// TCBInfo is Intel's list of TCB levels for one platform family, with its signature checked (sgx-tdx.md section 5.2).
type TCBInfo struct {
	document
	tee    TEE
	fmspc  FMSPC
	pceID  [2]byte
	levels []tcbLevel // highest first

	module     tdxModule   // for TDX: the modules that have no identity
	identities []tdxModule // for TDX: those that do

	version int // of the format: 2 or 3
}

// tcbLevel is what a platform must at least have for a status.
type tcbLevel struct {
	tcb TCB
	tdx teeTCB // for TDX
	rating
}

// rating is how Intel rates a TCB level.
type rating struct {
	status     Status
	date       time.Time
	advisories []string
}

// TEE is the environment whose platforms the levels rate.
func (t *TCBInfo) TEE() TEE { return t.tee }

// FMSPC is the platform family.
func (t *TCBInfo) FMSPC() FMSPC { return t.fmspc }

type wireTCBInfo struct {
	common
	ID      *string        `json:"id"`
	FMSPC   string         `json:"fmspc"`
	PCEID   string         `json:"pceId"`
	TCBType *int           `json:"tcbType"`
	Levels  []wireTCBLevel `json:"tcbLevels"`

	Module     *wireModule  `json:"tdxModule"`
	Identities []wireModule `json:"tdxModuleIdentities"`
}

type wireTCBLevel struct {
	TCB jsontext.Value `json:"tcb"`
	wireRating
}

type wireRating struct {
	Date       string   `json:"tcbDate"`
	Status     string   `json:"tcbStatus"`
	Advisories []string `json:"advisoryIDs"`
}

// TCBInfo reads a TCB info document of version 2 or 3, exactly as received, and checks its signature through
// issuerChain (PEM, signer then root). The error is an [evidence.Refusal].
func (v *Verifier) TCBInfo(doc, issuerChain []byte) (*TCBInfo, error) {
	t := &TCBInfo{document: document{name: "TCB info", hash: hashDocument(doc)}}
	e, err := readEnvelope(doc)
	if err != nil || len(e.TCBInfo) == 0 {
		return nil, badTCBInfo(cmp.Or(err, errors.New("tcbInfo is missing")))
	}
	if r := v.signed(&t.document, e.TCBInfo, e.Signature, issuerChain, evidence.TCBInfoSignature); r != nil {
		return nil, r
	}
	if err := t.read(e.TCBInfo); err != nil {
		return nil, badTCBInfo(err)
	}
	return t, nil
}

func badTCBInfo(err error) error {
	return endorsement(evidence.TCBInfoFormat, "the TCB info breaks its schema").Because(err).Do("fetch the document again")
}

// hashDocument is the hash of a document in the collateral claims; padding around it does not count.
func hashDocument(doc []byte) [32]byte { return hashC(bytes.Trim(doc, padding)) }

// read reads the inner object, whose signature has been checked.
func (t *TCBInfo) read(inner []byte) error {
	var w wireTCBInfo
	if err := strictjson.Exact(inner, &w); err != nil {
		return err
	}
	if err := errors.Join(w.common.read(&t.document), unhex(t.fmspc[:], "fmspc", w.FMSPC), unhex(t.pceID[:], "pceId", w.PCEID), w.setTEE(t)); err != nil {
		return err
	}
	if w.TCBType == nil || *w.TCBType != 0 {
		return errors.New("tcbType: expected 0")
	}
	t.version = *w.Version
	if t.tee == TDX {
		if err := t.readModules(w.Module, w.Identities); err != nil {
			return err
		}
	}
	return t.readLevels(w.Levels)
}

// setTEE finds the TEE from version and id: version 2 has no id and speaks of SGX.
func (w *wireTCBInfo) setTEE(t *TCBInfo) error {
	switch {
	case w.Version == nil || *w.Version != 2 && *w.Version != 3:
		return errors.New("version: expected 2 or 3")
	case *w.Version == 2 && w.ID == nil, *w.Version == 3 && w.ID != nil && *w.ID == "SGX":
		t.tee = SGX
	case *w.Version == 3 && w.ID != nil && *w.ID == "TDX":
		t.tee = TDX
	default:
		return errors.New("id: expected SGX or TDX in version 3, none in version 2")
	}
	return nil
}

// readLevels reads the levels and sorts them, highest first.
func (t *TCBInfo) readLevels(levels []wireTCBLevel) error {
	if len(levels) == 0 {
		return errors.New("tcbLevels: none")
	}
	for i, w := range levels {
		level := tcbLevel{}
		var err error
		if level.rating, err = w.wireRating.read(platformStatuses()); err == nil {
			err = level.readWire(w.TCB, t)
		}
		if err != nil {
			return fmt.Errorf("tcbLevels[%d]: %w", i, err)
		}
		t.levels = append(t.levels, level)
	}
	slices.SortStableFunc(t.levels, func(a, b tcbLevel) int { return b.compare(a) })
	for i := 1; i < len(t.levels); i++ {
		if t.levels[i].compare(t.levels[i-1]) == 0 {
			return errors.New("tcbLevels: two levels with the same TCB")
		}
	}
	return nil
}

// compare orders levels by the components of SGX, then by PCESVN, then by the components of TDX.
func (l tcbLevel) compare(o tcbLevel) int {
	return cmp.Or(slices.Compare(l.tcb.Components[:], o.tcb.Components[:]), cmp.Compare(l.tcb.PCESVN, o.tcb.PCESVN), slices.Compare(l.tdx[:], o.tdx[:]))
}

// wireComponent is a component of a level of version 3.
type wireComponent struct {
	SVN *uint8 `json:"svn"`
}

// readWire reads the tcb member of a level of t.
func (l *tcbLevel) readWire(raw jsontext.Value, t *TCBInfo) error {
	var w struct {
		PCESVN *uint16         `json:"pcesvn"`
		SGX    []wireComponent `json:"sgxtcbcomponents"`
		TDX    []wireComponent `json:"tdxtcbcomponents"`
	}
	if err := strictjson.Exact(raw, &w); err != nil {
		return fmt.Errorf("tcb: %w", err)
	}
	if w.PCESVN == nil {
		return errors.New("tcb.pcesvn is missing")
	}
	l.tcb.PCESVN = *w.PCESVN
	if t.version == 2 {
		return l.tcb.readNumbered(raw)
	}
	err := readComponents(&l.tcb.Components, "sgxtcbcomponents", w.SGX)
	if t.tee == TDX {
		err = cmp.Or(err, readComponents((*[components]uint8)(&l.tdx), "tdxtcbcomponents", w.TDX))
	}
	return err
}

func readComponents(to *[components]uint8, name string, list []wireComponent) error {
	if len(list) != components {
		return fmt.Errorf("tcb.%s: expected %d, found %d", name, components, len(list))
	}
	for i, c := range list {
		if c.SVN == nil {
			return fmt.Errorf("tcb.%s[%d].svn is missing", name, i)
		}
		to[i] = *c.SVN
	}
	return nil
}

// readNumbered reads the members sgxtcbcomp01svn … sgxtcbcomp16svn of version 2.
func (t *TCB) readNumbered(raw jsontext.Value) error {
	var members map[string]jsontext.Value
	if err := strictjson.Exact(raw, &members); err != nil {
		return err
	}
	for i := range t.Components {
		name, svn := componentName(i), (*uint8)(nil)
		if err := strictjson.Exact(members[name], &svn); err != nil || svn == nil {
			return fmt.Errorf("tcb.%s: expected a number from 0 to 255: %w", name, cmp.Or(err, errors.New("found null")))
		}
		t.Components[i] = *svn
	}
	return nil
}

// componentName is Intel's name of the component with index i.
func componentName(i int) string { return fmt.Sprintf("sgxtcbcomp%02dsvn", i+1) }

func (w *wireRating) read(known []Status) (rating, error) {
	date, err := utc(w.Date)
	if err != nil {
		return rating{}, fmt.Errorf("tcbDate: %w", err)
	}
	if !slices.Contains(known, Status(w.Status)) {
		return rating{}, fmt.Errorf("tcbStatus: unknown word %q", w.Status)
	}
	if slices.Contains(w.Advisories, "") {
		return rating{}, errors.New("advisoryIDs: one is empty or null")
	}
	return rating{Status(w.Status), date, w.Advisories}, nil
}
