// Package archtest holds tests of the repository as a whole: who may import whom,
// where each library lives, package comments, sizes of files. It has no code.
package archtest
