package wire

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMsgpackForms(t *testing.T) {
	for packed, want := range map[string]string{
		"\x80": `{}`, "\x90": `[]`, "\x7f": `127`, "\xff": `-1`, "\xe0": `-32`, "\xc0": `null`, "\xc2": `false`, "\xc3": `true`,
		"\xcc\xff": `255`, "\xcd\x01\x00": `256`, "\xce\xff\xff\xff\xff": `4294967295`,
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff": `18446744073709551615`,
		"\xd0\x80":                             `-128`, "\xd1\x80\x00": `-32768`, "\xd2\x80\x00\x00\x00": `-2147483648`,
		"\xd3\x80\x00\x00\x00\x00\x00\x00\x00": `-9223372036854775808`,
		"\xca\x3f\xc0\x00\x00":                 `1.5`, "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00": `1.5`,
		"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00": `null`,
		"\xa2\xc3\xa9":                         `"\u00e9"`, "\xd9\x01a": `"a"`, "\xda\x00\x01a": `"a"`, "\xdb\x00\x00\x00\x01a": `"a"`,
		"\xc4\x02ab": `"YWI="`, "\xdc\x00\x01\x01": `[1]`, "\xdd\x00\x00\x00\x01\x01": `[1]`,
		"\xde\x00\x01\x01\xc0": `{"1":null}`, "\x82\xa1a\x92\x01\x02\xa1b\x80": `{"a":[1,2],"b":{}}`,
	} {
		got, err := jsonOfMsgpack([]byte(packed))
		var a, b any
		if err != nil || json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
			t.Errorf("%x: %s, %v", packed, got, err)
		} else if x, _ := json.Marshal(a); string(x) != mustJSON(t, b) {
			t.Errorf("%x: %s, want %s", packed, got, want)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMsgpackRefuses(t *testing.T) {
	for _, packed := range []string{
		"", "\xa2a", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff\xa0", "\xc1", "\xd4\x00\x00", "\xa1\xff", "\x81\x90\x00", "\x80\x80", "\xcd\x01",
		strings.Repeat("\x91", 100000),
	} {
		if text, err := jsonOfMsgpack([]byte(packed)); err == nil {
			t.Errorf("%.20x: %s", packed, text)
		}
	}
	for _, text := range []string{``, `{`, `[1,`, `1 2`, strings.Repeat("[", 100000)} {
		if packed, err := msgpackOfJSON([]byte(text)); err == nil {
			t.Errorf("%.20s: %x", text, packed)
		}
	}
}

func FuzzMsgpack(f *testing.F) {
	for _, text := range append([]string{`[1, -1, 128, -129, 18446744073709551615, 1.5e300, "` + strings.Repeat("x", 300) + `", null, true]`}, metadataForms...) {
		packed, err := msgpackOfJSON([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		text, err := jsonOfMsgpack(packed)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%x became %s", packed, text)
		}
		again, err := msgpackOfJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if second, err := jsonOfMsgpack(again); err != nil || string(second) != string(text) {
			t.Fatalf("%s became %s, %v", text, second, err)
		}
	})
}
