// Package archtest holds tests of the repository as a whole: which package may import
// which, where each library may be used, package comments, sizes of files and packages,
// links between documents. It has no code other than tests.
package archtest
