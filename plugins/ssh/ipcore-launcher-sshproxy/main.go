// Command ipcore-launcher-sshproxy has an ipcore on another machine start engines
// there, with that machine's launcher. It is started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/ssh"

func main() { ssh.ProxyMain() }
