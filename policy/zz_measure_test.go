package policy_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/policy"
)

func measure(name, text string) {
	if len(text) > policy.MaxText {
		text = text[:policy.MaxText]
	}
	b := []byte(text)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	p, err := policy.Parse(b)
	d := time.Since(start)
	runtime.ReadMemStats(&after)
	n := 0
	if e, ok := err.(policy.Errors); ok {
		n = len(e)
	}
	first := ""
	if err != nil {
		first = err.Error()
		first = first[:min(len(first), 150)]
	}
	runtime.GC()
	var live runtime.MemStats
	runtime.ReadMemStats(&live)
	fmt.Printf("%-45s %8d bytes: total %6.1f MiB, live %6.1f MiB, %7d allocs, %6d ms, %d errors %s\n", name, len(text), float64(after.TotalAlloc-before.TotalAlloc)/(1<<20), float64(int64(live.HeapAlloc)-int64(before.HeapAlloc))/(1<<20), after.Mallocs-before.Mallocs, d.Milliseconds(), n, first)
	runtime.KeepAlive(p)
}

func fill(prefix, unit, suffix string) string {
	n := (policy.MaxText - len(prefix) - len(suffix)) / len(unit)
	return prefix + strings.Repeat(unit, n) + suffix
}

func TestScratchMeasure(t *testing.T) {
	head := "version=1.2;authorizationrules{=>permit();};issuancerules{"
	jm := func(unit string) string {
		q := strings.Repeat(unit, (16<<10)/len(unit)-1)
		rule := `=>add(type="a",value=JmesPath("1","` + q + `@"));`
		return fill(head, rule, "};")
	}
	measure("jmespath pipes", jm("@|"))
	measure("jmespath ||", jm("@||"))
	measure("jmespath dots", jm("a."))
	measure("jmespath index", jm("@[0]|"))
	measure("jmespath indexes", fill(head, `=>add(type="a",value=JmesPath("1","`+strings.Repeat("[0]", 5400)+`"));`, "};"))
	measure("jmespath filters", fill(head, `=>add(type="a",value=JmesPath("1","`+strings.Repeat("[?@]", 4000)+`"));`, "};"))
	measure("jmespath flatten", fill(head, `=>add(type="a",value=JmesPath("1","`+strings.Repeat("[]", 8000)+`"));`, "};"))
	measure("jmespath wild", fill(head, `=>add(type="a",value=JmesPath("1","`+strings.Repeat("[*]", 5400)+`"));`, "};"))
	measure("jmespath multi", fill(head, `=>add(type="a",value=JmesPath("1","[`+strings.Repeat("a,", 8000)+`a]"));`, "};"))
	measure("jmespath hash", fill(head, `=>add(type="a",value=JmesPath("1","{`+strings.Repeat("a:@,", 4000)+`a:@}"));`, "};"))
	measure("jmespath plus", jm("a+"))
	measure("jmespath cmp", jm("@==@|"))
	measure("jmespath literals", jm("`1`|"))
	measure("jmespath big literals", jm("`9007199254740993`|"))
	measure("jmespath literal lists", fill(head, `=>add(type="a",value=JmesPath("1","`+"`["+strings.Repeat("1,", 8000)+"1]`"+`"));`, "};"))
	measure("jmespath objects literal", fill(head, `=>add(type="a",value=JmesPath("1","`+"`"+strings.Repeat("[],", 1)[:0]+"["+strings.Repeat("{},", 5000)+"1]`"+`"));`, "};"))
	measure("jmespath calls", jm("abs(a)|"))
	measure("jmespath neg", jm("!a|"))
	measure("jmespath short queries", fill(head, `[value==JmesPath("1","@|@|@")]&&[value==JmesPath("1","@|@|@")]=>add(type="a",value=1);`, "};"))
	measure("short functions", fill(head, `[value==NegateBool(NegateBool(true))]&&[value==NegateBool(true)]=>add(type="a",value=1);`, "};"))
	measure("tests in one condition", fill(head+"[", `type=="",`, `type==""]=>add(type="a",value=1);};`))
	measure("integer tests", fill(head+"[", `value==1,`, `type==""]=>add(type="a",value=1);};`))
	measure("ref tests", fill(head+`c:[type=="a"]&&[`, `value==c.value,`, `type==""]=>add(type="a",value=1);};`))
	measure("assigns", fill(head+"=>add(", `type="",`, `type=""));};`))
	measure("args", fill(head+"[value==IsSubsetOf(", `1,`, `1)]=>add(type="a",value=1);};`))
	measure("nested args", fill(head+"[", `value==IsSubsetOf(1,1),`, `value==1]=>add(type="a",value=1);};`))
	conds := strings.Repeat(`[value==1]&&`, 63) + "[value==1]=>permit();"
	measure("64 conditions x 4096 rules", strings.Repeat("version=1.2;authorizationrules{", 1)+strings.Repeat(conds, 4096)+"};")
	conds = strings.Repeat(`a:[value==1]&&`, 63) + "a:[value==1]=>permit();"
	measure("64 dup labels", "version=1.2;authorizationrules{"+strings.Repeat(conds, 4096)+"};")
	measure("4096 rules", "version=1.2;authorizationrules{"+strings.Repeat("=>permit();", 4096)+"};")
	for _, u := range []string{"[", "]", "(", ")", "{", "}", ";", ",", ".", "=", "=>", "-", "!", "\"", "'", "“", "«", "`", "a ", "1 ", "a", "1", "\\", "\\\"", "/*", "#\n", "\u00a0", "é", "\x00", "+", "&", "|", "a{", "a[", "type=", "f(", "a:", "x:[type==1]", "version", "«]=>", "'];", "``", "\n", "//\n", "$", "exists(", "a,", "=>permit()", "authorisationrules{"} {
		measure("only "+u, fill("version=1.0;authorizationrules{", u, ""))
		measure("only in brackets "+u, fill("version=1.0;authorizationrules{[", u, ""))
		measure("only after => "+u, fill("version=1.0;authorizationrules{=>issue(type=", u, ""))
		measure("only outside "+u, fill("version=1.0;", u, ""))
	}
}
