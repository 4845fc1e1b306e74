package controller

import (
	"fmt"
	"strconv"

	"github.com/ipcore/ipcore/core/sockets"
)

// ports hands out the port numbers of one pool, then those that all share,
// then 0: any.
type ports struct {
	own    []int
	shared *[]int
}

func (p *ports) next() int {
	for _, list := range []*[]int{&p.own, p.shared} {
		if len(*list) > 0 {
			port := (*list)[0]
			*list = (*list)[1:]
			return port
		}
	}
	return 0
}

// listen binds a socket for what and answers its port.
func listen(s *sockets.Socket, what, ip string, port int) (int, error) {
	endpoint := "tcp://" + ip + ":" + strconv.Itoa(port)
	bound, err := s.Listen(endpoint)
	if err != nil {
		return 0, fmt.Errorf("controller: listen for %s on %s: %w", what, endpoint, err)
	}
	return bound, nil
}
