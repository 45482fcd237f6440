// SPDX-License-Identifier: Apache-2.0
import java.util.HashMap;
import java.util.Random;

// The server loop of guest-java: requests of customers, few of them most of the time and half-way others, are put into words, and
// the words thrown away; every other one is kept until the next such of that customer. Requests come every 20 ms, so that what is
// accessed between two harvests does not depend on how fast the machine is.
class Shop {
    record Order(int customer, String text) { }

    public static void main(String[] args) throws InterruptedException {
        final int CUSTOMERS = 12000, BATCH = 60, SECONDS = Integer.parseInt(args[0]);
        var orders = new HashMap<Integer, Order>();
        for (int i = 0; i < CUSTOMERS; i++)
            orders.put(i, new Order(i, ("first of " + i + " ").repeat(60)));
        var chance = new Random(1);
        long length = 0, requests = 0;
        long start = System.nanoTime();
        for (double done = 0; done < 1; done = (System.nanoTime() - start) / 1e9 / SECONDS) {
            int half = done > 0.5 ? CUSTOMERS / 2 : 0;
            for (int i = 0; i < BATCH; i++, requests++) {
                int customer = (int)(CUSTOMERS * Math.pow(chance.nextDouble(), 4) + half) % CUSTOMERS;
                Order last = orders.get(customer);
                String answer = new StringBuilder("last of ").append(customer).append(": ").append(last.text()).toString();
                length += answer.indexOf("0 ");
                if (requests % 2 == 0)
                    orders.put(customer, new Order(customer, ("order " + requests + " ").repeat(60)));
            }
            Thread.sleep(20);
        }
        System.out.println(requests + " requests, " + length);
    }
}
