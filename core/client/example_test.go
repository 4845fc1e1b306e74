package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/ipcore/ipcore/core/client"
)

// Run code on every engine of a cluster and print the results.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Connect(ctx, client.Options{File: "security/ipcontroller-client.json"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.WaitForEngines(ctx, 4, nil); err != nil {
		log.Fatal(err)
	}
	results, err := c.Execute(ctx, nil, "import os\nprint('hello')\nos.getpid()", client.ExecuteOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Printf("engine %d printed %q, value %s, error %v\n", r.Engine, r.Stdout, r.Text(), r.Err)
	}
}

// Send many tasks to the task queue and add up their results.
func ExampleClient_Submit() {
	ctx := context.Background()
	c, err := client.Connect(ctx, client.Options{File: "security/ipcontroller-client.json"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	var tasks []*client.Task
	for i := range 100 {
		code := fmt.Sprintf("n = sum(range(%d, %d))", i*1000, (i+1)*1000)
		o := client.TaskOptions{Retries: 1}
		o.Expressions = map[string]string{"n": "n"}
		task, err := c.Submit(code, o)
		if err != nil {
			log.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	results, err := client.Gather(ctx, tasks)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Errors(results); err != nil {
		log.Fatal(err)
	}
	total := 0
	for _, r := range results {
		var n int
		if _, err := fmt.Sscan(r.Expressions["n"].Text(), &n); err != nil {
			log.Fatal(err)
		}
		total += n
	}
	fmt.Println(total)
}
