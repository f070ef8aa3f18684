package text

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// A server under observation prints what it likes, and names itself as it
// likes. Whoever reads a report must not take that for a command of its own: a
// terminal, the log of a CI system, a page. There is one function for each
// reader; Line comes first in any case.

// Line is text for one line that nobody obeys. What cannot be printed becomes
// visible: ESC is \x1b, a mark that turns the writing direction \u202e, a byte
// that is no UTF-8 \xff. What the log of a CI system takes for a command loses
// a character to an escape: GitHub looks for ::error:: at the beginning of a
// line, behind any blanks, and as Azure and TeamCity do for ##[ and ##name[
// anywhere.
func Line(s string) string { return guard(visible(s, unicode.IsPrint)) }

// Block is text of several lines that nobody obeys.
func Block(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return guard(visible(s, func(r rune) bool { return r == '\n' || r == '\t' || unicode.IsPrint(r) }))
}

// Harmless is a copy of v in which each string is a Line, wherever it stands. The
// tag of a field may say otherwise: text:"block" for a Block, text:"raw" for what
// stays as it is.
func Harmless[T any](v T) T {
	harmless(reflect.ValueOf(&v).Elem(), Line)
	return v
}

// harmless makes the strings in v safe, in copies of all that v shares.
func harmless(v reflect.Value, safe func(string) string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(safe(v.String()))
	case reflect.Struct:
		for field, value := range v.Fields() {
			switch tag := field.Tag.Get("text"); {
			case !field.IsExported() || tag == "raw":
			case tag == "block":
				harmless(value, Block)
			default:
				harmless(value, Line)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			v.Set(changed(v.Elem(), safe).Addr())
		}
	case reflect.Slice:
		v.Set(reflect.AppendSlice(reflect.Zero(v.Type()), v))
		for i := range v.Len() {
			harmless(v.Index(i), safe)
		}
	case reflect.Map:
		all := reflect.MakeMap(v.Type())
		for key, value := range v.Seq2() {
			all.SetMapIndex(changed(key, safe), changed(value, safe))
		}
		v.Set(all)
	}
}

// changed is a harmless copy.
func changed(v reflect.Value, safe func(string) string) reflect.Value {
	copied := reflect.New(v.Type()).Elem()
	copied.Set(v)
	harmless(copied, safe)
	return copied
}

// Cells is Line for a drawing in characters: each character that it leaves is
// one column wide and is written from left to right. Latin, Greek and Cyrillic
// stay, and so does punctuation such as … and “. If ascii, only ASCII stays.
func Cells(s string, ascii bool) string {
	return guard(visible(s, func(r rune) bool {
		return unicode.IsPrint(r) && (r < 0x7f || !ascii && (r < 0x0590 && !unicode.Is(unicode.M, r) || r >= 0x2010 && r < 0x2027))
	}))
}

// visible escapes all characters but those to keep.
func visible(s string, keep func(rune) bool) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(s[i:], string(r)):
			fmt.Fprintf(&b, `\x%02x`, s[i]) // a byte that is no UTF-8
		case keep(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

var commands = regexp.MustCompile(`(?i)(^|\s)::[a-z]|##[a-z]*\[`)

// guard escapes one character of each command. Prose and Wrap begin a line at
// any word, so :: is escaped in front of each.
func guard(s string) string {
	return commands.ReplaceAllStringFunc(s, func(command string) string {
		if strings.HasPrefix(command, "##") {
			return `#\x23` + command[len("##"):]
		}
		return strings.Replace(command, "::", `\x3a:`, 1)
	})
}

// Markdown is text that Markdown, in GitHub's dialect, shows as it is.
func Markdown(s string) string {
	var b strings.Builder
	for i, r := range s {
		if strings.ContainsRune("\\`*_[]<>#|~&@$", r) || i == 0 && strings.ContainsRune("+-", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Fenced is a block that Markdown shows as it is, between fences longer than any
// in it.
func Fenced(block string) string {
	fence := "```"
	for strings.Contains(block, fence) {
		fence += "`"
	}
	return fence + "text\n" + strings.TrimSuffix(block, "\n") + "\n" + fence + "\n"
}

// XML is text for an element or an attribute of XML or HTML. What XML forbids
// becomes a replacement character.
func XML(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// Sheet is text for a spreadsheet, which would take = at the beginning for a
// formula and run it.
func Sheet(s string) string {
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

// JSON writes a document with all that there is: strings are as the server sent
// them, as far as they are UTF-8. They may hold ##[error], which the log of a CI
// system obeys anywhere in a line, so a second # is written as \u0023.
func JSON(w io.Writer, document any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		return err
	}
	_, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte("##"), []byte(`#\u0023`)))
	return err
}
