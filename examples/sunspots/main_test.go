package main

import "testing"

func TestParse(t *testing.T) {
	numbers, first, last, err := parse(csv)
	if err != nil {
		t.Fatal(err)
	}
	if len(numbers) != 309 || first != "1700" || last != "2008" || numbers[0] != "5" || numbers[308] != "2.9" {
		t.Fatalf("%d numbers from %s to %s, %q ... %q", len(numbers), first, last, numbers[0], numbers[len(numbers)-1])
	}
	if _, _, _, err := parse("year,sunspots\n1700"); err == nil {
		t.Error("a line without a comma was taken")
	}
}
