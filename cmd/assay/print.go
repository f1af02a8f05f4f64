package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/collateral"
	"github.com/assay-attestation/assay/internal/policyjws"
	"github.com/assay-attestation/assay/result"
)

// printJSON prints v on one line. Maps come in the order of their keys, so that equal results print alike.
func (c *call) printJSON(v any) error {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	_, err = fmt.Fprintf(c.stdout, "%s\n", b)
	return err
}

// report is a result: its JSON form is its own, print shows it to a person. With err it is that of a refusal.
type report interface {
	print(s sheet, err error)
}

// tell shows the result of a command that ends in err.
func (c *call) tell(r report, err error) error {
	if c.json {
		err = errors.Join(err, c.printJSON(r))
	} else {
		r.print(c.sheet(), err)
	}
	if err != nil {
		return told{err}
	}
	return nil
}

// complain tells err, if the command has not told it itself, on standard error, and as JSON where that is wanted.
func (c *call) complain(err error) {
	if err == nil || errors.As(err, new(told)) {
		return
	}
	var wrong usageError
	isUsage := errors.As(err, &wrong)
	text := plain(err.Error())
	if isUsage {
		text = plainLines(err.Error()) // it quotes what the user wrote, and perhaps where in it the mistake is
	}
	fmt.Fprintf(c.stderr, "assay: %s\n", text)
	if isUsage && !wrong.inFile {
		name := "assay"
		if c.cmd != nil {
			name += " " + c.cmd.name
		}
		fmt.Fprintf(c.stderr, "Try: %s --help\n", name)
	}
	if c.json || isUsage && asksForJSON(c.args) { // --json may stand behind the mistake
		c.printJSON(failure{Error: problemOf(err)}) //nolint:errcheck // standard output is gone; standard error has it all
	}
}

// failure is the JSON of a command that has nothing else to say.
type failure struct {
	Error *problem `json:"error"`
}

// problem is an error as JSON (native.md section 1.3).
type problem struct {
	Status  int    `json:"status,omitzero"` // of HTTP, if a service sent the error
	Code    string `json:"code,omitzero"`   // as the service would send it, or sent it
	Check   string `json:"check,omitzero"`  // the word of the check that failed
	Message string `json:"message"`
	Line    int    `json:"line,omitzero"` // in a policy's text
	Column  int    `json:"column,omitzero"`
}

// codeCollateral is the service's code for collateral that is missing.
const codeCollateral = "CollateralUnavailable"

func problemOf(err error) *problem {
	p := &problem{Message: strings.TrimSpace(err.Error())}
	var (
		refusal *evidence.Refusal
		token   *result.Refusal
		jws     *policyjws.Refusal
		service *serviceError
	)
	switch {
	case errors.Is(err, collateral.ErrAbsent), errors.As(err, new(*collateral.Unavailable)):
		p.Code, p.Check = codeCollateral, string(evidence.CollateralMissing)
	case errors.As(err, &refusal):
		p.Code, p.Check = refusal.Code(), string(refusal.Check)
	case errors.As(err, &token):
		p.Check = string(token.Reason)
	case errors.As(err, &jws):
		p.Code, p.Check = jws.Code(), string(jws.Reason)
	case errors.As(err, &service):
		p.Status, p.Code, p.Message = service.Status, service.Code, cmp.Or(service.Message, p.Message)
	}
	return p
}

// Colours of the headings.
const (
	green  = "32;1"
	red    = "31;1"
	yellow = "33;1"
)

// sheet writes a result for people: a heading, then aligned rows. Whatever it is given may come from an attacker, so
// nothing reaches the terminal but printable characters.
type sheet struct {
	w       io.Writer
	colours bool
}

// sheet begins the human form of a result on standard output.
func (c *call) sheet() sheet {
	return sheet{c.stdout, c.terminal && c.getenv("NO_COLOR") == ""}
}

// heading prints the verdict and what it is about.
func (s sheet) heading(colour, verdict, about string) {
	if s.colours {
		verdict = "\x1b[" + colour + "m" + verdict + "\x1b[0m"
	}
	fmt.Fprintf(s.w, "%s  %s\n", verdict, plain(about))
}

// row is one line of a sheet; rows without value are left out.
type row struct{ name, value string }

func (s sheet) rows(rows ...row) {
	width := 0
	for _, r := range rows {
		if r.value != "" {
			width = max(width, utf8.RuneCountInString(r.name))
		}
	}
	for _, r := range rows {
		if r.value != "" {
			fmt.Fprintf(s.w, "  %-*s  %s\n", width, plain(r.name), plain(r.value))
		}
	}
}

// section prints a line above further rows.
func (s sheet) section(title string) { fmt.Fprintf(s.w, "\n%s\n", plain(title)) }

// refusal tells a refusal: what was checked, what was expected, what was found, what to do.
func (s sheet) refusal(err error) {
	var (
		refusal *evidence.Refusal
		token   *result.Refusal
		jws     *policyjws.Refusal
	)
	switch {
	case errors.As(err, &refusal):
		s.rows(row{"check", string(refusal.Check)}, row{"problem", because(refusal.Problem, refusal.Err)},
			row{"expected", refusal.Expected}, row{"found", refusal.Found}, row{"remedy", refusal.Remedy})
	case errors.As(err, &token):
		s.rows(row{"check", string(token.Reason)}, row{"problem", because(token.Problem, token.Err)},
			row{"expected", token.Expected}, row{"found", token.Found}, row{"remedy", token.Remedy})
	case errors.As(err, &jws):
		s.rows(row{"check", string(jws.Reason)}, row{"problem", because(jws.Problem, jws.Err)},
			row{"expected", jws.Expected}, row{"found", jws.Found}, row{"remedy", jws.Remedy})
	default:
		s.rows(row{"problem", err.Error()})
	}
}

func because(problem string, err error) string {
	if err == nil {
		return problem
	}
	return problem + ": " + err.Error()
}

// plain returns s without anything that a terminal would obey.
func plain(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return s
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// plainLines is plain for text of several lines. All but the first are indented, so that none passes for a message.
func plainLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = plain(line)
	}
	return strings.Join(lines, "\n  ")
}

// list writes words one behind the other.
func list[S ~string](words []S) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

// longest is how much of one value a person is shown; --json shows all.
const longest = 160

func shorten(s string) string {
	if len(s) <= longest {
		return s
	}
	return fmt.Sprintf("%s… (%d characters)", strings.ToValidUTF8(s[:longest], ""), utf8.RuneCountInString(s))
}
