package measured

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
)

// decoded is data that is believed, in the form that it has as ProcessedData in the claim events (tpm.md section 9.2).
type decoded interface {
	appendTo(dst []byte) ([]byte, error)
}

// variable is an EFI variable. In a record of type EV_EFI_VARIABLE_BOOT only its value may be believed.
type variable eventlog.Variable

// decodeVariable reads an EFI variable, nil if it is none.
func decodeVariable(b believed, l eventlog.Limits) decoded {
	if !b.holds {
		return nil
	}
	v, err := eventlog.ParseVariable(b.data, l)
	if err != nil {
		return nil
	}
	return variable(v)
}

// decodeValue gives a value that is believed under the name and the GUID of a label, for which nothing vouches.
func decodeValue(label eventlog.Variable, value believed) decoded {
	if !value.holds {
		return nil
	}
	return variable{label.GUID, label.Name, value.data}
}

func (v variable) appendTo(dst []byte) ([]byte, error) {
	dst = append(append(dst, `{"VariableGuid":"`...), v.GUID.String()...)
	dst = appendText(append(dst, `","UnicodeName":`...), v.Name)
	dst = base64.RawURLEncoding.AppendEncode(append(dst, `,"VariableData":"`...), v.Data)
	return append(dst, `"}`...), nil
}

// separator is the value of a separator of four bytes.
type separator uint32

func decodeSeparator(b believed) decoded {
	if !b.holds || len(b.data) != separatorSize {
		return nil
	}
	return separator(binary.LittleEndian.Uint32(b.data))
}

func (s separator) appendTo(dst []byte) ([]byte, error) {
	dst = strconv.AppendUint(append(dst, `{"Value":`...), uint64(s), 10)
	return append(dst, '}'), nil
}

// action is the text of an EV_EFI_ACTION or EV_ACTION.
type action string

// decodeAction reads a text of printable ASCII.
func decodeAction(b believed) decoded {
	if !b.holds {
		return nil
	}
	for _, c := range b.data {
		if c < ' ' || c > '~' {
			return nil
		}
	}
	return action(b.data)
}

func (a action) appendTo(dst []byte) ([]byte, error) {
	return append(appendText(append(dst, `{"String":`...), string(a)), '}'), nil
}

// settings are the elements of an EV_EVENT_TAG of Windows.
type settings []sipa.Element

// decodeSettings reads them. The error is an [evidence.Refusal] of WindowsEvents.
func decodeSettings(b believed, depth int) (settings, error) {
	return sipa.Parse(b.data, depth)
}

func (s settings) appendTo(dst []byte) ([]byte, error) {
	return sipa.AppendJSON(dst, s, sipa.Options{})
}

// appendText appends a JSON string that escapes no more than it must. What is no UTF-8 is replaced.
func appendText(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error tells of what was replaced
	return dst
}

func hexText(b []byte) string { return hex.EncodeToString(b) }
