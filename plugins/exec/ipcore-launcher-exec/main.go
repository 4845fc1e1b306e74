// Command ipcore-launcher-exec serves a launcher that is a script: ipcore starts
// it with the path of the script, which it runs once for each thing to do. It also
// finds the launchers of Python packages, and makes scripts of them:
//
//	ipcore-launcher-exec entry-points PYTHON          prints them as JSON
//	ipcore-launcher-exec entry-point PYTHON NAME DIR  prints the path of one; exit code 3: there is none
package main

import "github.com/ipcore/ipcore/plugins/exec"

func main() { exec.Main() }
