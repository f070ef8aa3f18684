// An echo server with a thread for each client, in Java.
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

public class EchoServer {
    public static void main(String[] args) throws IOException {
        // SIGTERM runs the shutdown hooks; without this the exit code is 143.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(0)));
        ServerSocket listener = new ServerSocket();
        listener.setReuseAddress(true);
        listener.bind(new java.net.InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(args[0])), 1024);
        for (;;) {
            Socket client;
            try {
                client = listener.accept(); // sleeps until a client comes
            } catch (IOException e) { // out of descriptors: until one leaves
                pause();
                continue;
            }
            try {
                new Thread(null, () -> serve(client), "client", 128 << 10).start();
            } catch (OutOfMemoryError e) { // no thread can be made
                close(client);
            }
        }
    }

    static void serve(Socket client) {
        byte[] buffer = new byte[16 << 10];
        try {
            for (int n; (n = client.getInputStream().read(buffer)) > 0; ) {
                client.getOutputStream().write(buffer, 0, n);
            }
        } catch (IOException e) {
            // that client is gone, and nobody else
        }
        close(client);
    }

    static void close(Socket client) {
        try {
            client.close();
        } catch (IOException e) {
            // it is closed
        }
    }

    static void pause() {
        try {
            Thread.sleep(100);
        } catch (InterruptedException e) {
            // go on
        }
    }
}
