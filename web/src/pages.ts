/** The pages of the server: each is one element of its document. */
import "./meeting/meeting";
import "./host/host";
