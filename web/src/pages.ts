/** The pages of the server: each is one element of its document. */
import "./meeting/meeting";
import "./host/host";
/** And those for the pages of others. */
import "./embed/captions";
import "./embed/consent";
import "./embed/player";
import "./embed/room";
