package policy

// The syntax tree follows the productions of policy.md section 3. Nodes carry where they stand in the text and have
// no behaviour; the checker and the compiler give them meaning.

type policyNode struct {
	version     versionNode
	unversioned bool // the version is missing
	sections    []sectionNode
	lost        bool // text between sections was skipped
	end         token
}

type versionNode struct{ major, minor int }

type sectionNode struct {
	kind    sectionKind
	keyword token
	rules   []ruleNode
}

type ruleNode struct {
	start      position
	end        int  // offset behind the rule, its semicolon not counted
	lost       bool // labels may be missing, since a condition is broken
	conditions []conditionNode
	action     actionNode
}

type conditionNode struct {
	start   position
	end     int
	negated *token // the exclamation mark
	label   *token
	tests   []testNode
}

// testNode is a PropCond: property, relation, expression.
type testNode struct {
	property token
	relation token
	right    exprNode
}

type actionNode struct {
	verb    token
	broken  bool   // assignments may be missing
	copied  *token // the label of claim = label
	assigns []assignNode
}

type assignNode struct {
	property token
	right    exprNode
}

// exprNode is a literalNode, a referenceNode or a callNode.
type exprNode interface{ where() token }

type literalNode struct {
	start token
	value Value
}

type referenceNode struct {
	label    token
	property token
}

type callNode struct {
	name token
	args []exprNode
	end  int // offset behind its parenthesis
}

func (n literalNode) where() token   { return n.start }
func (n referenceNode) where() token { return n.label }
func (n callNode) where() token      { return n.name }

// sectionKind numbers the sections in the order in which they must stand.
type sectionKind int

const (
	configSection sectionKind = iota
	authSection
	issueSection
	noSection
)

// sectionOf returns the section that a keyword opens, or noSection.
func sectionOf(keyword string) sectionKind {
	for kind := configSection; kind < noSection; kind++ {
		if kind.keyword() == keyword {
			return kind
		}
	}
	return noSection
}

// keyword returns the word that opens the section.
func (k sectionKind) keyword() string {
	return [...]string{"configurationrules", "authorizationrules", "issuancerules", ""}[k]
}

// production returns the section's name in rule paths.
func (k sectionKind) production() string {
	return [...]string{"configSection", "authSection", "issueSection", ""}[k]
}

// ruleProduction returns the name of the section's rules in rule paths.
func (k sectionKind) ruleProduction() string {
	return [...]string{"configRule", "authRule", "issueRule", ""}[k]
}

// verbs returns the actions that the section's rules may take.
func (k sectionKind) verbs() []string {
	switch k {
	case configSection:
		return []string{"issueproperty"}
	case authSection:
		return []string{"permit", "deny", "add", "issue"}
	}
	return []string{"add", "issue", "issueproperty"}
}

// actionProduction returns the name in rule paths of the action that a verb takes, or "" for other words.
func actionProduction(verb string) string {
	switch verb {
	case "permit", "deny", "add", "issue":
		return verb + "Action"
	case "issueproperty":
		return "propertyAction"
	}
	return ""
}
